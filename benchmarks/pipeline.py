"""Pipelines over 512 texts of 5 to 60 words with MiniLM in fp32, in texts per second.

Goals for text-classification: 4x transformers' default, 2.5x its best batch size.

transformers' default is a call with a list and no batch_size: one text at a time. Its best is the
fastest of 8, 16, 32 and 64 on 128 of the texts. enfold is called with its defaults. Labels have to
be the same, and scores within 1e-5. feature-extraction returns tensors, one for each text. The roof
is the speed of one large product over the products of the layers, without padding and attention.
Peaks are the memory (VmHWM, MB) of a process of one library that classifies the texts once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from _machine import memory, products
from _models import checkpoint, minilm, sentences
from _report import Row, child, interleaved, run, timed, versus

HERE = Path(__file__).parent
SIZES = (8, 16, 32, 64)
SOURCES = {"text-classification": "minilm-classifier", "feature-extraction": "minilm"}
GOALS = {"text-classification": (4.0, 2.5), "feature-extraction": (None, None)}
ARGUMENTS = {"text-classification": {}, "feature-extraction": {"return_tensors": True}}


def rows(quick: bool) -> list[Row]:
    """Against their default and against their best, for each task."""
    count = 24 if quick else 512
    tasks = list(SOURCES)[:1] if quick else list(SOURCES)
    found = [row for task in tasks for row in task_rows(task, sentences(count), quick)]
    peaks = {f"{whose} peak": "" if quick else peak(library, count)
             for whose, library in (("their", "transformers"), ("our", "enfold"))}
    limit = {"roof": roof(sentences(count), 256 if quick else 2048)}
    empty = dict.fromkeys(peaks, "")
    return [row | limit | (peaks if row["task"] == tasks[0] else empty) for row in found]


def roof(texts: list[str], size: int) -> float:
    """Texts per second at the speed of one large product in fp32."""
    import torch

    from enfold import AutoModel, AutoTokenizer

    tokens = sum(map(len, AutoTokenizer.from_pretrained(minilm())(texts)["input_ids"]))
    layers = AutoModel.from_pretrained(minilm()).encoder.layer.parameters()
    work = 2 * sum(parameter.numel() for parameter in layers) * tokens
    return products(torch.float32, size) * len(texts) / work


def task_rows(task: str, texts: list[str], quick: bool) -> list[Row]:
    """Both comparisons of a task."""
    import transformers

    import enfold

    theirs, ours = opened(transformers, task), opened(enfold, task)
    if task == "text-classification":
        same_labels(theirs(texts, batch_size=16), ours(texts))
    size = best_size(theirs, texts[:128], SIZES[:2] if quick else SIZES)
    works: dict[str, Callable[[], Any]] = {
        "default": lambda: theirs(texts), f"batch_size={size}": lambda: theirs(
            texts, batch_size=size), "enfold": lambda: ours(texts)}
    found = interleaved({name: timed(work) for name, work in works.items()}, 1 if quick else 5)
    return [{"task": task, "their way": name, **versus(found[name], found["enfold"],
            lambda seconds: len(texts) / seconds, goal)}
            for name, goal in zip(("default", f"batch_size={size}"), GOALS[task], strict=True)]


def best_size(pipe: Any, texts: list[str], sizes: tuple[int, ...]) -> int:
    """The batch size that is fastest on some of the texts: median of three."""
    found = interleaved({str(size): timed(lambda size=size: pipe(texts, batch_size=size))
                         for size in sizes}, 3)
    return min(sizes, key=lambda size: median(found[str(size)]))


def opened(library: Any, task: str) -> Any:
    """A pipeline of either library."""
    import torch

    tokenizer = library.AutoTokenizer.from_pretrained(minilm())
    return library.pipeline(task, model=str(checkpoint(SOURCES[task])), tokenizer=tokenizer,
                            dtype=torch.float32, device="cpu", **ARGUMENTS[task])


def peak(library: str, count: int) -> float:
    """MB at most of a process that classifies so many texts."""
    code = f"from pipeline import classify; classify({library!r}, {count})"
    found: float = child("-c", f"import sys; sys.path.insert(0, {str(HERE)!r}); {code}",
                         threads=int(os.environ.get("OMP_NUM_THREADS", 1)))
    return found


def classify(library: str, count: int) -> None:
    """What such a process does."""
    opened(import_module(library), "text-classification")(sentences(count))
    print(memory()["peak"])


def same_labels(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """Stop where the answers differ: a faster wrong answer is none."""
    for text, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        if one["label"] != other["label"] or abs(one["score"] - other["score"]) > 1e-5:
            raise SystemExit(f"text {text}: transformers gives {one}, enfold {other}")


if __name__ == "__main__":
    run("pipeline", __file__, __doc__, rows, threads=(1, 2))
