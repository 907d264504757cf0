"""The operations that `data.py` times, by both libraries, and by pyarrow and Python alone."""

from __future__ import annotations

import csv
import os
import random
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count as counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import torch
from data import Operation

import enfold.data

SIDES = {"theirs": datasets, "ours": enfold.data}
SHAPES = {"3x224x224": (3, 224, 224), "28x28": (28, 28)}
Made = Callable[[], Operation]


def operations(folder: Path, count: int, quick: bool) -> Iterator[tuple[Made, str]]:
    """Makers of all operations, with names; data is made when it is needed."""
    for library in SIDES.values():
        library.disable_progress_bars()
    table = Csv(folder, count)
    for name, make in {**table.reading(), **table.mapping(), **table.rows()}.items():
        yield partial(make, name), name
    for kind, shape in SHAPES.items():
        for dtype in (None, "uint8"):
            suffix = f", dtype={dtype}" if dtype else ""
            for what in ("rows", "batches of 64"):
                name = f"arrays {kind}{suffix}, {what}"
                yield partial(arrays, name, shape, dtype, what == "rows", quick), name


def last(rows: Iterable[Any]) -> Any:
    """The last one of all."""
    return deque(rows, maxlen=1)[0]


class Csv:
    """The file, and what is done with it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.path = folder / "table.csv"
        draw = random.Random(0)
        words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9)))
                 for _ in range(5000)]
        with self.path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["text", "label"])
            out.writerows((" ".join(draw.choices(words, k=30))[:draw.randint(90, 110)],
                           draw.randrange(10)) for _ in range(count))
        self.sets = {side: self.load(library, folder / side) for side, library in SIDES.items()}
        self.plain = pacsv.read_csv(self.path)

    def load(self, library: Any, cache: Path, **options: Any) -> Any:
        return library.load_dataset("csv", data_files=str(self.path), split="train",
                                    cache_dir=str(cache), **options)

    def both(self, work: Callable[[Any], Any]) -> dict[str, Callable[[], Any]]:
        """The work on the table of each library."""
        return {side: partial(work, dataset) for side, dataset in self.sets.items()}

    # ---- reading ---------------------------------------------------------------------------------
    def reading(self) -> dict[str, Callable[[str], Operation]]:
        return {"load csv, cold": self.cold, "iterate rows": self.iterate,
                "streaming csv rows": self.streaming, "ds[i] at random": self.at_random,
                "DataLoader, batch 256": self.loader, "DataLoader, 2 workers": self.loader}

    def cold(self, name: str) -> Operation:
        def load(library: Any) -> Any:
            cache = self.folder / "cold"
            shutil.rmtree(cache, ignore_errors=True)
            return self.load(library, cache)[-1]

        return Operation(name, self.count, 2., partial(load, datasets), partial(load, enfold.data),
                         lambda: pacsv.read_csv(self.path).num_rows, wall=True)

    def iterate(self, name: str) -> Operation:
        return Operation(name, self.count, 13., **self.both(last), limit=lambda: last(
            {"text": text, "label": label} for text, label in zip(
                *(column.to_pylist() for column in self.plain.columns), strict=True)))

    def streaming(self, name: str) -> Operation:
        def stream(library: Any) -> Any:
            return last(self.load(library, self.folder / "stream", streaming=True))

        def plain() -> Any:
            return last({"text": text, "label": label} for batch in pacsv.open_csv(self.path)
                        for text, label in zip(*(column.to_pylist() for column in batch.columns),
                                               strict=True))

        return Operation(name, self.count, 10., partial(stream, datasets),
                         partial(stream, enfold.data), plain)

    def at_random(self, name: str) -> Operation:
        numbers = random.Random(1).choices(range(self.count), k=min(self.count, 100_000))
        text, label = (column.combine_chunks() for column in self.plain.columns)
        return Operation(name, len(numbers), 5., **self.both(
            lambda rows: last(rows[number] for number in numbers)), limit=lambda: last(
            {"text": text[number].as_py(), "label": label[number].as_py()} for number in numbers))

    def loader(self, name: str) -> Operation:
        workers = 2 if "workers" in name else 0

        def load(dataset: Any) -> Any:
            found = torch.utils.data.DataLoader(dataset, batch_size=256, num_workers=workers)
            return sum(len(batch["text"]) for batch in found)

        ready = Ready(self.plain.to_pylist()) if workers else None

        def plain() -> int:
            if ready is not None:
                return load(ready)
            return sum(len({"text": batch[0].to_pylist(), "label": torch.tensor(
                batch[1].to_numpy())}["text"]) for batch in self.plain.to_batches(256))

        return Operation(name, self.count, 4., **self.both(load), limit=plain, wall=workers > 0)

    # ---- mapping ---------------------------------------------------------------------------------
    def mapping(self) -> dict[str, Callable[[str], Operation]]:
        return {"map, per row": self.per_row, "map, per row, 2 processes": self.two,
                "map, per row, 2 processes, scaling": self.scaling, "map, batched": self.batched,
                "map, batched, bare": self.bare, "filter by a lambda": self.filtered,
                "filter by an expression": self.expression, "three maps and a filter": self.chain}

    def per_row(self, name: str) -> Operation:
        return Operation(name, self.count, 10., **self.both(lengths), limit=lambda: pa.table(
            {"n": [row["n"] for row in map(length(), self.plain_rows())]})["n"][-1], files=True)

    def plain_rows(self) -> Iterator[dict[str, Any]]:
        for text, label in zip(*(column.to_pylist() for column in self.plain.columns), strict=True):
            yield {"text": text, "label": label}

    def two(self, name: str) -> Operation:
        return Operation(name, self.count, None, **self.both(partial(lengths, num_proc=2)),
                         wall=True)

    def scaling(self, name: str) -> Operation:
        ours = self.sets["ours"]
        return Operation(name, self.count, 1.6, partial(lengths, ours),
                         partial(lengths, ours, num_proc=2), beside="enfold, one", wall=True)

    def batched(self, name: str) -> Operation:
        return Operation(name, self.count, None, **self.both(counts), limit=self.counted,
                         files=True)

    def bare(self, name: str) -> Operation:
        return Operation(name, self.count, .9, self.counted, partial(counts, self.sets["ours"]),
                         beside="the function", files=True)

    def counted(self) -> Any:
        """The bare function over the same lists."""
        texts, function = self.plain["text"].to_pylist(), count_words()
        return [function({"text": texts[start:start + 1000]})["n"]
                for start in range(0, len(texts), 1000)][-1][-1]

    def filtered(self, name: str) -> Operation:
        return Operation(name, self.count, 1.6, **self.both(
            lambda rows: rows.filter(above())[-1]), limit=lambda: self.plain.take(np.flatnonzero(
                [label > 4 for label in self.plain["label"].to_pylist()])).num_rows)

    def expression(self, name: str) -> Operation:
        theirs, ours = self.sets.values()
        return Operation(name, self.count, 15., lambda: theirs.filter(above())[-1],
                         lambda: ours.filter(pc.field("label") > 4 + fresh() * 1e-9)[-1],
                         lambda: self.plain.filter(pc.field("label") > 4).num_rows)

    def chain(self, name: str) -> Operation:
        return Operation(name, self.count, 3., **self.both(chained), files=True)

    # ---- rows ------------------------------------------------------------------------------------
    def rows(self) -> dict[str, Callable[[str], Operation]]:
        return {"shuffle, then iterate": self.shuffled, "flatten_indices": self.flattened}

    def shuffled(self, name: str) -> Operation:
        def limit() -> Any:
            order = np.random.default_rng(0).permutation(self.count)
            return last(row for batch in self.plain.take(order).to_batches(1000)
                        for row in batch.to_pylist())

        return Operation(name, self.count, 20., **self.both(
            lambda rows: last(rows.shuffle(seed=7))), limit=limit)

    def flattened(self, name: str) -> Operation:
        order = np.random.default_rng(0).permutation(self.count)
        seeds = {side: counter() for side in SIDES}  # both have the same, once each
        return Operation(name, self.count, 45., **{
            side: lambda rows=rows, seeds=seeds[side]: rows.shuffle(
                seed=next(seeds)).flatten_indices()[-1]
            for side, rows in self.sets.items()}, limit=lambda: self.plain.take(order).num_rows)


class Ready(torch.utils.data.Dataset[Any]):
    """Rows that are there: what is left is the loader's own work, and between its processes."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, numbers: list[int]) -> list[Any]:
        return [self.rows[number] for number in numbers]


# ---- functions that no cache knows ---------------------------------------------------------------
_numbers = counter()


def fresh() -> int:
    """A number that no function was given before."""
    return next(_numbers)


def length() -> Callable[..., Any]:
    salt = fresh()
    return lambda row, salt=salt: {"n": len(row["text"])}


def count_words() -> Callable[..., Any]:
    salt = fresh()
    return lambda batch, salt=salt: {"n": [len(set(text.split())) for text in batch["text"]]}


def above() -> Callable[..., Any]:
    salt = fresh()
    return lambda row, salt=salt: row["label"] > 4


def lengths(rows: Any, **options: Any) -> Any:
    return rows.map(length(), **options)[-1]["n"]


def counts(rows: Any) -> Any:
    return rows.map(count_words(), batched=True)[-1]["n"]


def chained(rows: Any) -> Any:
    salt = fresh()
    return (rows.map(length()).map(lambda row, salt=salt: {"half": row["n"] // 2})
            .map(lambda row, salt=salt: {"first": row["text"][0]}).filter(above())[-1])


# ---- arrays --------------------------------------------------------------------------------------
def arrays(name: str, shape: tuple[int, ...], dtype: str | None, by_row: bool,
           quick: bool) -> Operation:
    """Arrays of fixed shape of memory-mapped files in torch's format."""
    count = 64 if quick else 1000 if len(shape) == 3 else 50_000
    block = np.random.default_rng(0).integers(0, 255, (count, *shape), dtype=np.uint8)
    options = {"dtype": getattr(torch, dtype)} if dtype else {}
    sides = {}
    for side, library in SIDES.items():
        kind = getattr(library, f"Array{len(shape)}D")
        path = Path(os.environ["ENFOLD_CACHE"]) / f"{side}-{name}"
        features = library.Features(x=kind(shape=shape, dtype="uint8"))
        parts = [library.Dataset.from_dict({"x": block[start:start + 100]}, features=features)
                 for start in range(0, count, 100)]
        library.concatenate_datasets(parts).save_to_disk(str(path))
        sides[side] = library.load_from_disk(str(path)).with_format("torch", **options)

    def read(rows: Any) -> Any:
        return last(rows if by_row else rows.iter(64))["x"]

    size = 1 if by_row else 64

    def plain() -> Any:
        return last(torch.from_numpy(block[start:start + size]) for start in range(0, count, size))

    return Operation(name, count, 10., **{side: partial(read, rows)
                                          for side, rows in sides.items()}, limit=plain)
