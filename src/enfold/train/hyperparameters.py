"""The arguments of a run that its card lists."""

from __future__ import annotations

from typing import Any


def hyperparameters(args: Any) -> dict[str, Any]:
    """Names and values, in the order of a card."""
    found = {name: getattr(args, name)
             for name in ("learning_rate", "train_batch_size", "eval_batch_size", "seed")}
    if args.world_size > 1:
        found["num_devices"] = args.world_size
    if args.gradient_accumulation_steps > 1:
        found["gradient_accumulation_steps"] = args.gradient_accumulation_steps
    totals = {"train_batch_size": args.world_size * args.gradient_accumulation_steps,
              "eval_batch_size": args.world_size}
    for name, times in totals.items():
        if times > 1:
            found[f"total_{name}"] = found[name] * times
    found["optimizer"] = _optimizer(args)
    found["lr_scheduler_type"] = _plain(args.lr_scheduler_type)
    if args.warmup_steps:
        found["lr_scheduler_warmup_steps"] = args.warmup_steps
    steps = args.max_steps > 0
    found["training_steps" if steps else "num_epochs"] = (
        args.max_steps if steps else args.num_train_epochs)
    if args.fp16 or args.bf16:
        found["mixed_precision_training"] = "fp16" if args.fp16 else "bf16"
    if args.label_smoothing_factor:
        found["label_smoothing_factor"] = args.label_smoothing_factor
    return found


def _optimizer(args: Any) -> str:
    name = _plain(args.optim)
    betas = (f" with betas ({args.adam_beta1}, {args.adam_beta2}) and epsilon {args.adam_epsilon}"
             if "adam" in name else "")
    return name + betas + (f" and {args.optim_args}" if args.optim_args else "")


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))
