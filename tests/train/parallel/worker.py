"""One rank of a few runs: `torchrun worker.py RUNS.json` writes what they logged to RUNS.json.out.

Imports nothing but enfold, as the import is most of the time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

FILL = {"input_ids": 4, "attention_mask": 0, "labels": -100}
QUIET = {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "logging_steps": 1,
         "save_strategy": "no", "max_steps": 8, "gradient_accumulation_steps": 2, "seed": 7,
         "weight_decay": 0.01, "learning_rate": 1e-2}


def pad(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.nn.utils.rnn.pad_sequence(
        [torch.as_tensor(row[name]) for row in features], batch_first=True, padding_value=fill)
        for name, fill in FILL.items()}


def score(prediction: Any) -> dict[str, float]:
    """Depends on every logit and label, and on how many rows there are."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) \
        else prediction.predictions
    kept = prediction.label_ids != -100
    return {"rows": len(kept), "kept": float(kept.sum()),
            "score": float((logits[..., 7] * kept)[kept].mean())}


def run(model: str, head: str, rows: list[dict[str, Any]], output_dir: str,
        arguments: dict[str, Any], resume: str | None = None, lora: bool = False) -> dict[str, Any]:
    """Train, evaluate at the end; what was logged."""
    import enfold
    from enfold.data import Dataset
    from enfold.train.arguments import TrainingArguments
    from enfold.train.trainer import Trainer

    args = TrainingArguments(output_dir, **{**QUIET, **arguments})
    with args.main_process_first():
        base = getattr(enfold, head).from_pretrained(model)
    if lora:
        from enfold.adapt import LoraConfig, get_peft_model

        torch.manual_seed(0)
        base = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear",
                                               init_lora_weights=False))
    trainer = Trainer(base, args, data_collator=pad, train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(rows[:7]), compute_metrics=score)
    trainer.train(resume_from_checkpoint=resume)
    trainer.evaluate()
    trainer.save_model(f"{output_dir}/end")
    if args.world_size > 1:
        trainer.ranks.barrier()
    return {"log": trainer.state.log_history, "ranks": trainer.ranks.world_size,
            "wrapped": type(trainer.model_wrapped).__name__}


def main(path: Path) -> None:
    import os

    results = [run(**case) for case in json.loads(path.read_text())]
    if os.environ["RANK"] == "0":
        Path(f"{path}.out").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
