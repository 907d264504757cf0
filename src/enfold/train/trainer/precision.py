"""Mixed precision: fp32 master weights, 16-bit products, and losses that stay finite.

bf16 computes under autocast; fp16 does too, and scales the loss so that small gradients survive.
Weights that are trained are fp32, because a step of a 16-bit weight is lost where it is below
1/256 (bf16) or 1/2048 (fp16) of it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import ConfigError

HALF = (torch.float16, torch.bfloat16)


class Precision:
    """How a run computes: `dtype` under autocast (None: as the weights are), and a scaler."""

    def __init__(self, args: Any) -> None:
        self.device = torch.device(args.device).type
        self.dtype = (torch.float16 if args.fp16 else torch.bfloat16 if args.bf16 else None)
        self.scaler: torch.amp.GradScaler | None = None
        if args.fp16:
            self.scaler = torch.amp.GradScaler(self.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device, self.dtype)

    def masters(self, model: nn.Module, allowed: bool = False) -> list[str]:
        """Have every weight that is trained in fp32; the names of those that were changed.

        Without bf16=True or fp16=True a model of 16-bit weights is refused, unless `allowed`.
        """
        halves = [(name, parameter) for name, parameter in model.named_parameters()
                  if parameter.requires_grad and parameter.dtype in HALF]
        if not halves or allowed:
            return []
        if self.dtype is None:
            name, parameter = halves[0]
            kind = str(parameter.dtype).removeprefix("torch.")
            raise ConfigError(
                f"{len(halves)} of the weights to train are {kind} ({name!r} is the first), and "
                "most steps of an optimizer are too small for that; expected float32 weights. Do: "
                "TrainingArguments(bf16=True), which keeps float32 weights and computes in "
                "bfloat16; or load the model with dtype='float32'; or, to train 16-bit weights as "
                "they are, set Trainer.allow_16bit_weights = True")
        for _, parameter in halves:
            parameter.data = parameter.data.float()
            parameter.grad = None
        return [name for name, _ in halves]

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, scaled if this is fp16."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: Any) -> None:
        """Have the gradients in their own scale, before they are clipped."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Any) -> bool:
        """A step of the optimizer; False if the scaled gradients had overflowed."""
        if self.scaler is None:
            optimizer.step()
            return True
        scale = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return scale <= self.scaler.get_scale()


def norm_of(model: nn.Module) -> Tensor:
    """The norm of all gradients."""
    norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def clip(model: nn.Module, limit: float, norm: Tensor) -> None:
    """Scale gradients of this norm down to a norm of `limit`; 0 leaves them.

    On a CPU, where the factor can be looked at, they are not multiplied by 1.
    """
    if limit > 0 and (norm.device.type != "cpu" or not limit / (norm + 1e-6) >= 1):
        nn.utils.clip_grads_with_norm_(model.parameters(), limit, norm)
