"""`enfold run TASK`: a pipeline over texts given as arguments, on standard input or in a file."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from enfold.cli.show import plain
from enfold.errors import InputError
from enfold.tasks.registry import find


def main(args: Namespace) -> int:
    """Print one result for each input, in their order."""
    task, _ = find(args.task)  # before torch is imported
    options = dict(args.options)
    texts: Iterable[Any] = inputs(args)
    if task.name == "question-answering":
        texts = map(partial(question, asked=options.pop("question", None)), texts)
    if args.batch_size is not None:
        options["batch_size"] = args.batch_size
    from enfold import pipeline

    pipe = pipeline(args.task, model=args.model, revision=args.revision, device=args.device,
                    dtype=args.dtype)
    show = as_json if args.json else plain
    for position, result in enumerate(pipe(iter(texts), **options)):
        text = show(result)
        if position and not args.json and "\n" in text:
            print()  # parts the blocks of several inputs
        print(text, flush=True)
    return 0


def inputs(args: Namespace) -> Iterator[str]:
    """The texts: arguments (`-` is standard input), then the file; standard input if neither."""
    sources = list(args.texts) or ([] if args.file else ["-"])
    if "-" in sources and sys.stdin.isatty():
        raise InputError("no input. Do: give texts, --file F, or pipe text in")
    path = Path(args.file) if args.file else None
    if path and not path.is_file():
        raise InputError(f"--file {path}: there is no such file. Do: check the path")
    return read(sources, path, args.whole)


def read(sources: list[str], path: Path | None, whole: bool) -> Iterator[str]:
    """Yield the texts as they are wanted, so that standard input streams."""
    for source in sources:
        yield from lines(sys.stdin, whole) if source == "-" else [source]
    if path:
        with path.open(encoding="utf-8") as file:
            yield from lines(file, whole)


def lines(file: Iterable[str], whole: bool) -> Iterator[str]:
    """The lines that hold text, or all of them as one."""
    texts = ["".join(file)] if whole else file
    return (text.rstrip("\r\n") for text in texts if text.strip())


def question(text: str, asked: str | None) -> dict[str, str]:
    """A question-answering input: `--set question=...` about each text, or a JSON object."""
    if asked is not None:
        return {"question": str(asked), "context": text}
    try:
        pair = json.loads(text)
    except ValueError:
        pair = None
    if not isinstance(pair, dict) or not {"question", "context"} <= pair.keys():
        raise InputError("question-answering: no question. Do: --set question=\"...\" with the "
                         'context as text, or inputs such as {"question": "...", "context": "..."}')
    return pair


def as_json(result: object) -> str:
    """One line of JSON; arrays and tensors become lists."""
    return json.dumps(result, ensure_ascii=False, default=lambda value: value.tolist())
