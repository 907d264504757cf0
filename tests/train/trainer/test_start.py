"""Where a run starts: at once, wherever it stood; and without what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enfold.data import Dataset
from tests.train.trainer.runs import ours

ROW, BATCH, ROWS = 10_000_000, 8, 12_000_000


class Table(torch.utils.data.Dataset[Any]):
    """Twelve million rows."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"values": float(row)}


class Line(torch.nn.Module):
    """Notes what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.seen = torch.nn.Parameter(torch.ones(())), list[float]()

    def forward(self, values: Any) -> Any:
        self.seen += values.tolist()
        return {"loss": (values * self.slope / ROWS - 1).square().mean()}


def moved(checkpoint: Path, readers: int) -> None:
    """Have a checkpoint of the first steps be one at row ROW; of a stream, if it has readers."""
    progress = torch.load(checkpoint / "progress.pt", weights_only=False)
    progress |= {"done": ROW // BATCH, "logged": ROW // BATCH}
    for worker in range(readers):
        place = progress["data"]["workers"][worker]
        first = place["number"] * BATCH
        place["number"] = ROW // BATCH // readers
        mapped = place["stream"]["examples_iterable"]
        assert mapped == {"index": first, "child": {"shard": 0, "row": first}}
        mapped["index"] = mapped["child"]["row"] = ROW // readers
    torch.save(progress, checkpoint / "progress.pt")
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    state["global_step"] = ROW // BATCH
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))


def went_on(folder: Path, data: Any, workers: int, stream: bool) -> list[float]:
    """What a run sees that goes on at row ROW."""
    def made(steps: int) -> Any:
        return ours(Line(), folder, [], options={"train_dataset": data, "data_collator": None},
                    per_device_train_batch_size=BATCH, max_steps=steps, logging_steps=10**8,
                    save_strategy="steps", save_steps=2, save_total_limit=2, seed=3,
                    dataloader_num_workers=workers)

    made(2).train()
    moved(folder / "checkpoint-2", max(workers, 1) if stream else 0)
    trainer = made(ROW // BATCH + 2)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    return trainer.model.seen  # type: ignore[no-any-return]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_table_goes_on_at_row_ten_million(workers: int, tmp_path: Path) -> None:
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3))
    seen = went_on(tmp_path, Table(), workers, stream=False)
    assert seen == order[ROW:ROW + 2 * BATCH].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_on_at_row_ten_million(workers: int, tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"values": pa.array(np.arange(ROW + 100.0))})
    stream = Dataset(table).to_iterable_dataset(num_shards=workers or 1).map(
        lambda row: {"values": -row["values"]})
    seen = went_on(tmp_path, stream, workers, stream=True)
    starts = [ROW, ROW + BATCH] if not workers else [ROW // 2, ROW + 50]  # the second half's end
    assert seen == [-row for start in starts for row in range(start, start + BATCH)]
    anew = ours(Line(), tmp_path, [], options={"train_dataset": stream, "data_collator": None},
                per_device_train_batch_size=BATCH, max_steps=1)
    anew.train()  # the place stayed with the checkpoint, not with the dataset
    assert anew.model.seen == [-row for row in range(BATCH)]


SCRIPT = """
import sys
from pathlib import Path
import torch
from enfold.train.arguments import TrainingArguments
from enfold.train.trainer import Trainer
model = torch.nn.Linear(2, 1)
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.out = model
    def forward(self, values):
        return {"loss": self.out(values).square().mean()}
args = TrainingArguments(sys.argv[1], max_steps=2, report_to="none", use_cpu=True,
                         disable_tqdm=True)
Trainer(Model(), args, train_dataset=[{"values": [1.0, 2.0]}] * 16).train()
slow = [name for name in ("torch._dynamo", "torch.distributed.fsdp", "sympy", "transformers",
                          "pandas", "sklearn", "tensorboard") if name in sys.modules]
compiled = torch.compile(torch.optim.AdamW(model.parameters()).zero_grad, backend="eager")
assert not slow, slow
compiled()
"""


def test_a_run_imports_no_compiler(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], text=True,
                          capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
