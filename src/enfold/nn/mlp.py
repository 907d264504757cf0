"""Feed-forward branch: down(act(up(x))), or down(act(gate(x)) * up(x))."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.nn.act import Activation, activation
from enfold.nn.branch import Branch
from enfold.nn.context import Context
from enfold.nn.linear import Linear
from enfold.nn.native import fused, training
from enfold.nn.native.fused import CODES, goes_native
from enfold.spec import MLP, Block


class FeedForward(Branch):
    """The Module of `spec.MLP`.  [B, T, D] in and out."""

    def __init__(self, spec: MLP, dim: int, block: Block) -> None:
        super().__init__(spec, dim, block)
        self.act = activation(spec.act)
        self.inner_dropout = spec.dropout
        self.gate = Linear(dim, spec.hidden, spec.bias) if spec.gated else None
        self.up = Linear(dim, spec.hidden, spec.bias)
        self.down = Linear(spec.hidden, dim, spec.bias)

    def mix(self, h: Tensor, ctx: Context) -> Tensor:
        h = self.inner(h)
        if self.inner_dropout and self.training:
            h = training.dropout(self, h, self.inner_dropout)
        return self.down(h)  # type: ignore[no-any-return]

    def inner(self, h: Tensor) -> Tensor:
        """What `down` takes."""
        if self.gate is None:
            return gated(self, self.up(h))
        return gated(self, self.gate(h), self.up(h))


def gated(module: Any, gate: Tensor, up: Tensor | None = None) -> Tensor:
    """act(gate), times `up` where there is one; `act` is the module's."""
    act: Activation = module.act
    code = CODES.get(act)
    if code is not None and goes_native(module, gate):
        return fused.gate(code, gate, up)
    if act in training.SLOPES and training.trains(module, gate):
        return training.gate(act, gate, up)
    return act(gate) if up is None else act(gate) * up
