"""The same steps of 8 rows, cut into batches in each way that there is: `cuts.py OUT` writes what
each logged; under torchrun, the cuts of its ranks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

TASKS = ("causal", "masked", "seq2seq", "tokens")
CUTS = ((8, 1), (4, 2), (1, 8))


def ragged(task: str) -> list[dict[str, Any]]:
    """Rows of different lengths, of whose labels a part is -100, in some all."""
    from tests.train.trainer.runs import rows

    data = rows(task, 24)
    for row in data[::5] if task != "classes" else ():
        row["labels"] = [-100] * len(row["labels"])
    return data


def logged(task: str, batch: int, accumulate: int, folder: Path) -> list[list[float]]:
    """Loss and gradient norm of three steps."""
    import enfold
    from tests.families.tiny import TINY
    from tests.train.trainer.runs import TASKS as HEADS
    from tests.train.trainer.runs import curve, ours

    kind, suffix = HEADS[task]
    torch.manual_seed(0)
    suffix = suffix.replace("ConditionalGeneration", "Seq2SeqLM")
    model = getattr(enfold, f"AutoModel{suffix}").from_config(
        enfold.AutoConfig.for_model(kind, **TINY[kind].config()))
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    made = ours(model, folder, ragged(task), max_steps=3, learning_rate=1e-3,
                per_device_train_batch_size=batch if batch == 1 else batch // ranks,
                gradient_accumulation_steps=accumulate // ranks if batch == 1 else accumulate)
    made.train()
    return [curve(made), curve(made, "grad_norm")]


def main(out: Path) -> None:
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        found = {f"{task} {batch}x{accumulate}": logged(task, batch, accumulate, Path(folder))
                 for task in TASKS for batch, accumulate in CUTS}
    if os.environ.get("RANK", "0") == "0":
        out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
