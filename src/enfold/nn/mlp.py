"""Feed-forward branch: down(act(up(x))), or down(act(gate(x)) * up(x))."""

from __future__ import annotations

from torch import Tensor

from enfold.nn.act import activation
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
        gate, act = self.up(h) if self.gate is None else self.gate(h), CODES.get(self.act)
        up = None if self.gate is None else self.up(h)
        if act is not None and goes_native(self, gate):
            return fused.gate(act, gate, up)
        if self.act in training.SLOPES and training.trains(self, gate):
            return training.gate(self.act, gate, up)
        return self.act(gate) if up is None else self.act(gate) * up
