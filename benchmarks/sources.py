"""Reading a table of a text of 100 characters and a label from files, in million rows per second.

Theirs is pyarrow's own reader of the whole file for `read`, datasets for `load_dataset`: cold, with
the data written to a new cache.  "csv, quoted" has commas and quotes in every text.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from _report import Row, interleaved, run, timed, versus

COUNT = 1_000_000


def rows(quick: bool) -> list[Row]:
    """A row for each format read, and for each loaded."""
    count = 2_000 if quick else COUNT
    with tempfile.TemporaryDirectory() as folder:
        files = written(Path(folder), count)
        found = []
        for name, (theirs, ours, goal) in ways(files, Path(folder) / "cache").items():
            same(name, theirs(), ours(), count)
            times = interleaved({"theirs": timed(theirs), "ours": timed(ours)}, 2 if quick else 7)
            found.append({"what": name, **versus(
                times["theirs"], times["ours"], lambda seconds: count / seconds / 1e6, goal)})
        return found


def written(folder: Path, count: int) -> dict[str, Path]:
    """The table in each format."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9)))
             for _ in range(5000)]
    texts = [" ".join(draw.choices(words, k=18))[:100] for _ in range(count)]
    labels = [draw.randrange(10) for _ in range(count)]
    files = {name: folder / f"{name.split(',')[0]}{len(name)}"
             for name in ("csv", "csv, quoted", "json", "parquet")}
    for name in ("csv", "csv, quoted"):
        with files[name].open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["text", "label"])
            out.writerows((f'{text[:90]}, "{text[94:]}"' if "quoted" in name else text, label)
                          for text, label in zip(texts, labels, strict=True))
    with files["json"].open("w") as file:
        file.writelines(json.dumps({"text": text, "label": label}) + "\n"
                        for text, label in zip(texts, labels, strict=True))
    pq.write_table(pa.table({"text": texts, "label": labels}), files["parquet"])
    return files


def ways(files: dict[str, Path], cache: Path) -> dict[str, tuple[Callable[[], Any],
                                                                 Callable[[], Any], float | None]]:
    """What is read: by them, by us, and the ratio to reach."""
    import datasets
    import pyarrow.csv as pacsv
    import pyarrow.json as pajson
    import pyarrow.parquet as papq

    import enfold.data
    quoted = pacsv.ParseOptions(newlines_in_values=True)
    plain = {"csv": pacsv.read_csv, "csv, quoted": partial(pacsv.read_csv, parse_options=quoted),
             "json": partial(pajson.read_json, read_options=pajson.ReadOptions(block_size=1 << 20)),
             "parquet": papq.read_table}
    found: dict[str, Any] = {
        f"read {name}": (partial(plain[name], files[name]), partial(ours, name, files[name]), .83)
        for name in files}
    for library in (datasets, enfold.data):
        library.disable_progress_bars()
    for name in files:
        theirs, mine = (partial(loaded, library, name.split(",")[0], files[name], cache)
                        for library in (datasets, enfold.data))
        found[f"load_dataset {name}"] = theirs, mine, 2. if name == "csv" else None
    return found


def ours(name: str, path: Path) -> Any:
    """The whole file as a table."""
    import pyarrow as pa

    from enfold.data.sources import read
    source = read(name.split(",")[0], path)
    return source.consume(lambda batches: pa.Table.from_batches(batches, source.schema))


def loaded(library: Any, name: str, path: Path, cache: Path) -> Any:
    """By `load_dataset`, into a cache that is removed."""
    shutil.rmtree(cache, ignore_errors=True)
    return library.load_dataset(name, data_files=str(path), split="train", cache_dir=str(cache))


def same(name: str, theirs: Any, ours: Any, count: int) -> None:
    """Stop where the tables differ."""
    heads = [one if isinstance(one, dict) else one.to_pydict() for one in (theirs[:3], ours[:3])]
    if not theirs.num_rows == ours.num_rows == count or heads[0] != heads[1]:
        raise SystemExit(f"sources: {name}: the results differ")


if __name__ == "__main__":
    run("sources", __file__, __doc__, rows, threads=(2,))
