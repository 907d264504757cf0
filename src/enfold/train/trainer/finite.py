"""A loss that is not a number ends the run, and says where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import get_world_size, is_initialized

from enfold.errors import EnfoldError
from enfold.train.parallel.sharding import is_piece, is_sharded


class NotFinite(EnfoldError, FloatingPointError):  # noqa: N818 - reads as what it is
    """A loss or a gradient is infinite or not a number."""


def bad_loss(model: nn.Module, inputs: Mapping[str, Any], step: int, loss: Tensor) -> NotFinite:
    """The error for a loss of step `step` (counted from 1): runs the model again to find where."""
    return NotFinite(f"the loss of step {step} is {float(loss)}, expected a finite number: "
                     f"{_place(model, inputs)}. Nothing was changed by this step. Do: lower the "
                     "learning rate, check the data of this step, or use bf16 instead of fp16; a "
                     "checkpoint from before resumes with resume_from_checkpoint=True")


def bad_gradient(model: nn.Module, step: int, norm: Tensor) -> NotFinite:
    """The error for gradients that aren't finite though the loss is."""
    names = [name for name, parameter in model.named_parameters()
             if parameter.grad is not None and not _finite(parameter.grad)]
    where = f"{len(names)} weights have such, {names[-1]!r} nearest to the loss" if names else \
        "their squares overflow"
    if is_initialized() and get_world_size() > 1:
        where += "; they are the means over all ranks, of which another may say more"
    return NotFinite(f"the norm of the gradients of step {step} is {float(norm)}, expected a "
                     f"finite number: {where}. Nothing was changed by this step. Do: lower the "
                     "learning rate, or look for a square root or a logarithm of 0 in the loss")


def _place(model: nn.Module, inputs: Mapping[str, Any]) -> str:
    for name, value in inputs.items():
        if torch.is_tensor(value) and not _finite(value):
            return f"the input {name!r} of the model is not finite"
    if is_sharded(model):  # one rank alone can't run it
        return "no module is named, as the weights are in pieces; a run without fsdp names it"
    for name, parameter in model.named_parameters():
        if not _finite(parameter):
            return f"the weight {name!r} is not finite"
    found: list[str] = []
    watched = [module.register_forward_hook(_watch(name, found))
               for name, module in model.named_modules() if name and isinstance(module, nn.Module)]
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        for hook in watched:
            hook.remove()
    if found:
        return f"the first module whose output is not finite is {found[0]!r}"
    return "all modules give finite outputs when the batch is run again, so it is the loss itself"


def _watch(name: str, found: list[str]) -> Any:
    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        parts = output.values() if isinstance(output, Mapping) else \
            output if isinstance(output, (tuple, list)) else (output,)
        if not found and any(torch.is_tensor(part) and not _finite(part) for part in parts):
            found.append(name)

    return look


def _finite(tensor: Any) -> bool:
    tensor = tensor.to_local() if is_piece(tensor) else tensor
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
