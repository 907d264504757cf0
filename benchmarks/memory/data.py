"""Memory of a map and a filter over a table larger than it: what a process holds beyond the map.

    python benchmarks/memory/data.py [--rows 12000000]

Writes an Arrow file of texts of about 100 characters and a label to the temporary folder, runs each
operation over it, and prints the peak of RssAnon, which leaves out mapped files.  The goal is under
500 MB for a map and a filter of 12 million rows.  Linux only; the files are removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enfold.data import Dataset, disable_progress_bars

BATCH = 50_000
ANONYMOUS = re.compile(r"^RssAnon:\s+(\d+) kB", re.MULTILINE)

OPERATIONS: dict[str, Callable[[Dataset], Dataset]] = {
    "map": lambda ds: ds.map(lambda row: {"n": len(row["text"])}),
    "map, batched": lambda ds: ds.map(
        lambda batch: {"n": [len(text) for text in batch["text"]]}, batched=True),
    "map that changes the text": lambda ds: ds.map(lambda row: {"text": row["text"].upper()}),
    "map, 2 processes": lambda ds: ds.map(lambda row: {"m": len(row["text"])}, num_proc=2),
    "filter": lambda ds: ds.filter(lambda row: row["label"] != 3),
    "filter by an expression": lambda ds: ds.filter(pc.field("label") > 3),
    "map, filter, map": lambda ds: ds.map(lambda row: {"k": row["label"] + 1}).filter(
        lambda row: row["k"] % 2 == 0).map(lambda row: {"z": len(row["text"])}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=12_000_000)
    rows = parser.parse_args().rows
    disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="enfold-bench-") as folder:
        os.environ["ENFOLD_CACHE"] = f"{folder}/cache"
        path = Path(folder) / "rows.arrow"
        write(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB")
        for name, operation in OPERATIONS.items():
            seconds, peak = measured(partial(run_over, operation, path))
            print(f"{name:28} {seconds:7.1f} s  {rows / seconds:11,.0f} rows/s  {peak:5.0f} MB")


def run_over(operation: Callable[[Dataset], Dataset], path: Path) -> Dataset:
    return operation(Dataset.from_file(str(path))).cache()


def write(path: Path, rows: int) -> None:
    schema = pa.schema({"text": pa.string(), "label": pa.int64()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, rows, BATCH):
            numbers = np.arange(start, min(start + BATCH, rows))
            texts = pc.binary_join_element_wise(pa.array(numbers).cast(pa.string()), "x" * 92, " ")
            writer.write_batch(pa.record_batch([texts, pa.array(numbers % 7)], schema=schema))


def measured(run: Callable[[], Any]) -> tuple[float, float]:
    """(seconds, the most MB of RssAnon meanwhile)."""
    seen, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        result = run()
    finally:
        done.set()
        watcher.join()
    seen.append(anonymous())
    del result
    return time.perf_counter() - began, max(seen)


def anonymous() -> float:
    """MB of this process that are in no file."""
    found = ANONYMOUS.search(Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("RssAnon is not in /proc/self/status. Expected Linux 4.5 or newer")
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
