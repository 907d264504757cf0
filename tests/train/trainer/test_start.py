"""Where a run starts: at once, wherever it stood; and without what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from enfold.data import Dataset
from tests.train.trainer.runs import ours

ROW, BATCH, ROWS = 10_000_000, 8, 12_000_000


class Table(torch.utils.data.Dataset[Any]):
    """Twelve million rows, and how many of them were read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> dict[str, Any]:
        self.read.append(row)
        return {"values": float(row % 7)}


class Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.ones(()))

    def forward(self, values: Any) -> Any:
        return {"loss": (values * self.slope - 1).square().mean()}


def moved(checkpoint: Path, stream: bool) -> None:
    """Have a checkpoint of the first steps be one at row ROW."""
    progress = torch.load(checkpoint / "progress.pt", weights_only=False)
    progress |= {"done": ROW // BATCH, "logged": ROW // BATCH}
    if stream:
        place = progress["data"]["workers"][0]
        place["number"] = ROW // BATCH
        mapped = place["stream"]["examples_iterable"]
        assert mapped == {"index": 2 * BATCH, "child": {"shard": 0, "row": 2 * BATCH}}
        mapped["index"] = mapped["child"]["row"] = ROW
    torch.save(progress, checkpoint / "progress.pt")
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    state["global_step"] = ROW // BATCH
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))


def went_on(folder: Path, data: Any, stream: bool) -> Any:
    def made(steps: int) -> Any:
        return ours(Line(), folder, [], options={"train_dataset": data, "data_collator": None},
                    per_device_train_batch_size=BATCH, max_steps=steps, logging_steps=10**8,
                    save_strategy="steps", save_steps=2, save_total_limit=2, seed=3)

    made(2).train()
    moved(folder / "checkpoint-2", stream)
    if not stream:
        data.read.clear()
    trainer = made(ROW // BATCH + 2)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    return trainer


def test_a_table_goes_on_at_row_ten_million(tmp_path: Path) -> None:
    data = Table()
    went_on(tmp_path, data, stream=False)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3))
    assert data.read == order[ROW:ROW + 2 * BATCH].tolist()


def test_a_stream_goes_on_at_row_ten_million(tmp_path: Path) -> None:
    import pyarrow as pa

    seen: list[float] = []

    def look(row: dict[str, Any]) -> dict[str, Any]:
        seen.append(row["values"])
        return row

    table = pa.table({"values": pa.array(np.arange(ROW + 100.0))})
    went_on(tmp_path, Dataset(table).to_iterable_dataset().map(look), stream=True)
    assert seen[2 * BATCH:] == [float(row) for row in range(ROW, ROW + 2 * BATCH)]


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
