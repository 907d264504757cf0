"""Linear layers that are cut over ranks, and the sums between them (arXiv 1909.08053).

B rows, I in, O out, N ranks
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.nn.buckets import RelativeBias
from enfold.nn.linear import Conv1D, Linear
from enfold.weights.shard.cut import Cut


class Split(nn.Module):
    """A module whose tensors are parts: `cuts` by leaf, `style` as plans call it."""

    cuts: dict[str, Cut]
    style = ""


class ColumnLinear(Split, Linear):
    """Cut by outputs: [B, I] -> [B, O / N]."""

    style = "colwise"

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_same(x))


class ColumnConv1D(Split, Conv1D):
    """Cut by outputs, its weight stored [I, O / N]."""

    style = "colwise"

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_same(x))


class GatheredLinear(Split, Linear):
    """Cut by outputs, which are then put together: [B, I] -> [B, O], a head over the vocabulary."""

    style = "colwise_gather_output"

    def forward(self, x: Tensor) -> Tensor:
        return _joined(super().forward(_same(x)))


class SlicedLinear(Split, Linear):
    """Whole on each rank (its weight is the embedding), computed in parts and put together.

    That each logit comes from one place keeps the ranks at the same tokens: computed by all, they
    could differ in the last bit.
    """

    def forward(self, x: Tensor) -> Tensor:
        part = -(-self.out_features // dist.get_world_size())
        start = min(dist.get_rank() * part, self.out_features)
        rows = slice(start, min(start + part, self.out_features))
        bias = None if self.bias is None else _same(self.bias)[rows]
        y = F.linear(_same(x), _same(self.weight)[rows], bias)
        return _joined(F.pad(y, (0, part - y.shape[-1])))[..., : self.out_features]


class RowLinear(Split, Linear):
    """Cut by inputs: [B, I / N] -> [B, O], summed over the ranks."""

    style = "rowwise"

    def forward(self, x: Tensor) -> Tensor:
        y = _total(F.linear(x, self.weight))
        return y if self.bias is None else y + self.bias


class RowConv1D(Split, Conv1D):
    """Cut by inputs, its weight stored [I / N, O]."""

    style = "rowwise"

    def forward(self, x: Tensor) -> Tensor:
        y = _total(F.linear(x, self.weight.t()))
        return y if self.bias is None else y + self.bias


class SplitBias(Split, RelativeBias):
    """T5's table of relative positions, of some heads."""

    style = "colwise"


def split_linear(linear: nn.Linear, *, by_outputs: bool, segments: tuple[int, ...],
                 ranks: int, gather: bool = False) -> Split:
    """`linear` (on the meta device) as a rank has it; segments of its outputs or inputs.

    gather: outputs are put together again.
    """
    turned, part = isinstance(linear, Conv1D), sum(segments) // ranks
    kinds: dict[tuple[bool, bool], type[Any]] = {
        (True, False): ColumnLinear, (True, True): ColumnConv1D, (False, False): RowLinear,
        (False, True): RowConv1D}
    kind = GatheredLinear if gather else kinds[by_outputs, turned]
    made: Any = object.__new__(kind)
    nn.Module.__init__(made)
    made.in_features = linear.in_features if by_outputs else part
    made.out_features = part if by_outputs else linear.out_features
    shape = (made.out_features, made.in_features)
    made.weight = nn.Parameter(linear.weight.new_empty(shape[::-1] if turned else shape))
    made.bias = linear.bias
    made.cuts = {"weight": Cut(int(by_outputs == turned), segments, ranks)}
    if by_outputs and linear.bias is not None:
        made.bias = nn.Parameter(linear.bias.new_empty(part))
        made.cuts["bias"] = Cut(0, segments, ranks)
    found: Split = made
    return found


def sliced_linear(linear: nn.Linear) -> SlicedLinear:
    """`linear` with the same tensors, computed in parts."""
    made = object.__new__(SlicedLinear)
    nn.Module.__init__(made)
    made.in_features, made.out_features = linear.in_features, linear.out_features
    made.weight, made.bias, made.cuts = linear.weight, linear.bias, {}
    return made


def split_bias(table: RelativeBias, ranks: int) -> SplitBias:
    """T5's table as a rank has it."""
    heads = table.embedding_dim
    made = SplitBias(table.spec, heads // ranks)
    made.cuts = {"weight": Cut(1, (heads,), ranks)}
    return made


class _Same(torch.autograd.Function):
    """x; its gradient is the sum of those of all ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad


class _Total(torch.autograd.Function):
    """The sum over all ranks; its gradient is that of each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _Joined(torch.autograd.Function):
    """All ranks' features, side by side; each gets the gradient of its own.

    What follows is computed by all ranks alike, so its gradient is the same on each.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.width = x.shape[-1]
        return _beside(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.narrow(-1, dist.get_rank() * ctx.width, ctx.width).contiguous()


def _joined(x: Tensor) -> Tensor:
    tracked = torch.is_grad_enabled() and x.requires_grad
    return _Joined.apply(x) if tracked else _beside(x)  # type: ignore[no-untyped-call]


def _beside(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts, -1)


def _same(x: Tensor) -> Tensor:
    tracked = torch.is_grad_enabled() and x.requires_grad
    return _Same.apply(x) if tracked else x  # type: ignore[no-untyped-call]


def _total(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and x.requires_grad:
        return _Total.apply(x)  # type: ignore[no-untyped-call, no-any-return]
    dist.all_reduce(x)
    return x
