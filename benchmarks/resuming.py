"""A run that goes on at row ten million: the time to its first step, beside that of a new run.

    python benchmarks/resuming.py [--quick]

Twelve million rows of Arrow on the disk, as a table (shuffled) and as a stream (in turn), with 0
and 2 workers.  A run reads ten million rows in batches of 100,000 and saves; `train` then goes on
with batches of 8.  Times are from the call of `train` to the first step, which has its batch then;
CPU time is of this process and of the workers.  The goal is 2 s.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _report import Row, run

from enfold import Trainer, TrainerCallback, TrainingArguments
from enfold.data import Dataset, disable_progress_bars

GOAL, LARGE, SMALL = 2.0, 100_000, 8


class Line(torch.nn.Module):
    """One weight: the run is the reading of its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.ones(()))

    def forward(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (values.float() * self.slope - 1).square().mean()}


class Ready(TrainerCallback):
    """When the first step began, by both clocks."""

    found: tuple[float, float] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.found = self.found or now()


def rows(quick: bool) -> list[Row]:
    """A row for each kind of data and number of workers."""
    disable_progress_bars()
    count = 120_000 if quick else 12_000_000
    with TemporaryDirectory(prefix="enfold-bench-") as folder:
        table = written(Path(folder) / "rows", count)
        kinds = {"table": table, "stream": table.to_iterable_dataset(num_shards=4)}
        return [line(name, data, workers, count, Path(folder) / f"{name}{workers}",
                     1 if quick else 3) for name, data in kinds.items() for workers in (0, 2)]


def written(folder: Path, count: int) -> Dataset:
    import pyarrow as pa

    table = pa.table({"values": pa.array(np.arange(count) % 7)})
    Dataset(table).save_to_disk(str(folder))
    return Dataset.load_from_disk(str(folder))


def line(name: str, data: Any, workers: int, count: int, folder: Path, repeats: int) -> Row:
    """Run to five sixths of the rows, go on from there a few times, and begin anew as often."""
    large = LARGE * count // 12_000_000
    steps = count * 5 // 6 // large
    trainer(folder, data, workers, large, steps).train()
    checkpoint = str(folder / f"checkpoint-{steps}")
    found: dict[str, list[tuple[float, float]]] = {"new": [], "on": []}
    for _ in range(repeats):
        for kind, where in (("new", None), ("on", checkpoint)):
            found[kind].append(waited(trainer(folder, data, workers, SMALL, steps + 1), where))
    new, on = ([median(column) for column in zip(*found[kind], strict=True)]
               for kind in ("new", "on"))
    return {"data": name, "workers": workers, "row": large * steps, "new, s": new[0],
            "new, CPU s": new[1], "going on, s": on[0], "going on, CPU s": on[1], "goal": GOAL,
            "met": "yes" if max(on) < GOAL else "no"}


def trainer(folder: Path, data: Any, workers: int, batch: int, steps: int) -> Trainer:
    args = TrainingArguments(
        str(folder), per_device_train_batch_size=batch, max_steps=steps, logging_strategy="no",
        save_strategy="steps", save_steps=steps, report_to="none", disable_tqdm=True,
        use_cpu=True, dataloader_num_workers=workers)
    return Trainer(Line(), args, train_dataset=data, data_collator=collate)


def waited(made: Trainer, checkpoint: str | None) -> tuple[float, float]:
    """Seconds and CPU seconds from `train` to the first step."""
    ready = Ready()
    made.add_callback(ready)
    made.args.save_strategy, made.args.max_steps = "no", made.args.max_steps if checkpoint else 1
    start = now()
    made.train(resume_from_checkpoint=checkpoint)
    assert ready.found is not None
    return ready.found[0] - start[0], ready.found[1] - start[1]


def now() -> tuple[float, float]:
    """The time, and the CPU time of this process and its children that run."""
    ticks = 0
    for child in Path("/proc/self/task").glob("*/children"):
        for number in child.read_text().split():
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.perf_counter(), time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def collate(features: list[dict[str, int]]) -> dict[str, torch.Tensor]:
    return {"values": torch.tensor([row["values"] for row in features])}


if __name__ == "__main__":
    run("resuming", __file__, __doc__, rows, peers=("torch",))
