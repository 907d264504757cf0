"""Tokenizing 10,000 sentences of 5 to 60 words with MiniLM's vocabulary, in texts per second.

Both use the engine of the package tokenizers; what differs is what is built around its result.
No goal in the first version. (Not named tokenize.py: that would hide Python's own module.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from _models import minilm, sentences
from _report import Row, interleaved, run, timed, versus


def rows(quick: bool) -> list[Row]:
    """A row for each way to call."""
    import transformers

    import enfold

    texts = sentences(200 if quick else 10_000)
    theirs, ours = (library.AutoTokenizer.from_pretrained(minilm())
                    for library in (transformers, enfold))
    found = []
    for name, (work, count) in ways(texts).items():
        same(theirs, ours, work)
        times = interleaved({"theirs": timed(partial(work, theirs)),
                             "ours": timed(partial(work, ours))}, 2 if quick else 9)
        found.append({"call": name, **versus(times["theirs"], times["ours"],
                                             lambda seconds, count=count: count / seconds)})
    return found


def ways(texts: list[str]) -> dict[str, tuple[Callable[[Any], Any], int]]:
    """What is called, and how many texts it takes."""
    some = texts[:1000]
    ids = [list(range(1000, 1030))] * len(some)
    return {
        "batch, padded tensors": (lambda t: t(texts, padding=True, truncation=True,
                                              return_tensors="pt"), len(texts)),
        "batch, lists": (lambda t: t(texts), len(texts)),
        "batch, offsets": (lambda t: t(texts, return_offsets_mapping=True), len(texts)),
        "one by one": (lambda t: [t(text) for text in some], len(some)),
        "decode, batch": (lambda t: t.batch_decode(ids), len(some)),
    }


def same(theirs: Any, ours: Any, work: Callable[[Any], Any]) -> None:
    """Stop where the results differ."""
    one, other = work(theirs), work(ours)
    one, other = ([x["input_ids"] if hasattr(x, "keys") else x for x in
                   (result if isinstance(result, list) else [result])] for result in (one, other))
    for left, right in zip(one, other, strict=True):
        differ = left != right
        if differ if isinstance(differ, bool) else differ.any():
            raise SystemExit("tokenizing: enfold's result differs from transformers'")


if __name__ == "__main__":
    run("tokenizing", __file__, __doc__, rows, threads=(1, 2))
