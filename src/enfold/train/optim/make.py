"""From `TrainingArguments.optim` to an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from enfold.train.arguments.names import OptimizerNames

if TYPE_CHECKING:
    from enfold.train.arguments import TrainingArguments


def make_optimizer(args: TrainingArguments, groups: list[dict[str, Any]]) -> Optimizer:
    """The optimizer that `args` asks for, over `groups` (see `decay_groups`)."""
    if args.optim in (OptimizerNames.ADAMW_TORCH, OptimizerNames.ADAMW_TORCH_FUSED):
        return torch.optim.AdamW(
            groups,
            lr=args.learning_rate,
            betas=(args.adam_beta1, args.adam_beta2),
            eps=args.adam_epsilon,
            fused=args.optim == OptimizerNames.ADAMW_TORCH_FUSED,
        )
    raise NotImplementedError(f"optim={args.optim.value!r} is not implemented")
