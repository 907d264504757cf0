"""A script for torchrun: trains, and writes what it logged and its weights.

two_ranks.py OUT TASK BATCH ACCUMULATE STEPS KIND [RESUME]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch


def main() -> None:
    torch.set_num_threads(1)
    import enfold
    from enfold.data import Dataset
    from tests.families.tiny import TINY
    from tests.train.trainer.runs import TASKS, curve, ours, rows

    out, task, batch, accumulate, steps, kind = sys.argv[1:7]
    data = rows(task, 30)
    dataset = Dataset.from_list(data)
    kin, suffix = TASKS[task]
    torch.manual_seed(0)
    config = enfold.AutoConfig.for_model(kin, **TINY[kin].config())
    model = getattr(enfold, f"AutoModel{suffix}").from_config(config)
    made = ours(model, Path(out), data, options={
        "train_dataset": dataset.to_iterable_dataset(num_shards=1) if kind == "stream" else dataset,
        "eval_dataset": Dataset.from_list(data[:13])},
        per_device_train_batch_size=int(batch), gradient_accumulation_steps=int(accumulate),
        max_steps=int(steps), learning_rate=1e-3, lr_scheduler_type="constant",
        save_strategy="steps", save_steps=2,
        per_device_eval_batch_size=3, **({"fsdp": "full_shard"} if kind == "fsdp" else {}))
    made.train(resume_from_checkpoint=len(sys.argv) > 7)
    metrics = made.evaluate()
    found = made.predict(made.eval_dataset)
    if made.is_world_process_zero():
        (Path(out) / "run.json").write_text(json.dumps({
            "loss": curve(made), "norm": curve(made, "grad_norm"), "eval": metrics["eval_loss"],
            "labels": found.label_ids.tolist(), "logits": float(abs(found.predictions).mean()),
            "rows": len(found.predictions)}))


if __name__ == "__main__":
    main()
