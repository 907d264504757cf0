"""The switch of our kernels, for a model: modules that have them look at their `native`."""

from __future__ import annotations

from torch import nn

from enfold.nn.native.library import level


def optimize(model: nn.Module, enabled: bool = True) -> None:
    """Have a model's modules compute by our kernels where they are faster, or by torch alone.

    They are used on a CPU, in training in fp32 only, and change nothing beyond rounding (and which
    numbers dropout draws).  Quantized layers always use theirs: there is no other way to the same
    speed.
    """
    level()
    if isinstance(getattr(type(model), "native", None), bool):
        model.native = enabled  # type: ignore[assignment]
    for child in nn.Module.children(model):
        optimize(child, enabled)
