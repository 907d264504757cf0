"""A branch of a block: what is added to the residual stream, with its norms.

    in    x + mix(norm(x))              sum   norm_sum(x + mix(x))
    out   x + norm_out(mix(x))          absent norms are None
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from enfold.nn.context import Context
from enfold.nn.native.training import dropout
from enfold.nn.norm import norm, sum_norm
from enfold.spec import Block
from enfold.spec import Branch as BranchSpec


class Branch(nn.Module):
    """Attention, feed-forward and mixture inherit this and define `mix`."""

    native = True

    def __init__(self, spec: BranchSpec, dim: int, block: Block) -> None:
        super().__init__()
        self.norm = norm(block.norm, dim) if "in" in block.norm_at else None
        self.norm_out = norm(block.norm, dim) if "out" in block.norm_at else None
        self.norm_sum = norm(block.norm, dim) if "sum" in block.norm_at else None
        self.drop_out = spec.drop_out

    @abstractmethod
    def mix(self, h: Tensor, ctx: Context) -> Tensor:
        """The branch's own work on normalised hidden states [B, T, D]."""

    def forward(self, x: Tensor, ctx: Context) -> Tensor:
        h = self.mix(x if self.norm is None else self.norm(x), ctx)
        if ctx.tokens is not None and h.shape != x.shape:  # the first tokens of the texts alone
            x = ctx.tokens.firsts(x)
        if self.norm_out is not None:
            h = self.norm_out(h)
        if self.drop_out and self.training:
            h = dropout(self, h, self.drop_out)
        return x + h if self.norm_sum is None else sum_norm(self.norm_sum, x, h)
