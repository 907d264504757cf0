"""A script for torchrun --max-restarts: `elastic.py OUT DIE` trains from the last checkpoint there
is; with DIE, rank 1 ends at step 5 of its first life."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from enfold.train.callbacks import TrainerCallback
from enfold.train.checkpoint import get_last_checkpoint
from tests.train.parallel.worker import pad


class Die(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 5 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)


class Words(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = torch.nn.Embedding(48, 8), torch.nn.Linear(8, 48)

    def forward(self, input_ids: Any, attention_mask: Any = None, labels: Any = None) -> Any:
        logits = self.out(self.table(input_ids))
        return {"loss": torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())}


def main(out: Path, die: bool) -> None:
    from enfold.train.arguments import TrainingArguments
    from enfold.train.trainer import Trainer
    from tests.train.parallel.worker import QUIET
    from tests.train.trainer.runs import rows

    torch.manual_seed(0)
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    args = TrainingArguments(str(out), **{**QUIET, "save_strategy": "steps", "save_steps": 2,
                                          "per_device_train_batch_size":
                                          4 // int(os.environ.get("WORLD_SIZE", "1"))})
    trainer = Trainer(Words(), args, data_collator=pad, train_dataset=rows("causal", 26),
                      callbacks=[Die()] if die and first else [])
    last = get_last_checkpoint(out) if out.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    if trainer.is_world_process_zero():
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        (out / "end.json").write_text(json.dumps({
            "loss": losses, "first": first, "from": last and Path(last).name}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), len(sys.argv) > 2)
