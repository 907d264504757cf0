"""Linear layers.

On a CPU inference goes through our own kernels where they are faster than torch's: they read the
plain weight, so that there is no second copy of it and nothing to keep up to date.

B rows, I in, O out
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.nn.native import linear as native
from enfold.nn.native import products
from enfold.nn.native.library import known

Kernel = Callable[[Tensor], Tensor]
Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
GAIN = 0.8  # of torch's time is what our kernels may take: a clear case, the same in each process
ERRORS = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}  # relative, to accept
SMALLEST = 2**16  # numbers in a weight: below, the way to our kernel costs more than it gains
TRIED = {1: 2, 4: 8, 32: 256, 256: 2**62}  # rows that are measured: rows up to which they stand


class Linear(nn.Linear):
    """nn.Linear whose inference on a CPU goes through our kernels.

    `native = False` turns them off, for a layer or for all (`Linear.native = False`).
    """

    native = True

    def forward(self, x: Tensor) -> Tensor:
        return product(self, x, self.weight, self.bias)

    def kernel(self, dtype: torch.dtype) -> Kernel:
        """`forward` for inference on a few rows of `dtype` with all choices made."""
        weight, bias = self.weight, self.bias
        if (self.native and weight.dtype == dtype and weight.numel() >= SMALLEST
                and native.fits(weight, bias) and worthwhile(dtype, 1)
                and not torch.is_autocast_enabled("cpu") and not native.observed()):
            return native.kernel(weight, bias)
        return lambda x: F.linear(x, weight, bias)


class Conv1D(nn.Linear):
    """A linear layer whose weight is stored [I, O], as in GPT-2's checkpoints; same arithmetic."""

    @classmethod
    def of(cls, linear: nn.Linear) -> Conv1D:
        """`linear` with its weight turned, uninitialised, on the same device."""
        turned = cls.__new__(cls)
        nn.Module.__init__(turned)
        turned.in_features, turned.out_features = linear.in_features, linear.out_features
        size = (linear.in_features, linear.out_features)
        turned.weight = nn.Parameter(linear.weight.new_empty(size))
        turned.bias = linear.bias
        return turned

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


def product(module: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [.., I] times a weight of `module`, [O, I], which has the switch `native`."""
    if torch.is_grad_enabled() or module.training or not module.native:
        if products.takes(module, x, weight, bias):
            return products.linear(x, weight, bias)
        return F.linear(x, weight, bias)
    if torch.compiler.is_compiling():
        return _in_graph(x, weight, bias)
    return (chosen(x, weight, bias) or F.linear)(x, weight, bias)


def _in_graph(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same in a graph of torch.compile: which way is chosen when it runs."""
    if (torch.compiler.is_exporting() or not known() or not x.is_cpu or weight.numel() < SMALLEST
            or x.dtype != weight.dtype or x.dtype not in ERRORS
            or torch.is_autocast_enabled("cpu")):
        return F.linear(x, weight, bias)
    return torch.ops.enfold.linear(x, weight, bias)  # type: ignore[no-any-return]


def chosen(x: Tensor, weight: Tensor, bias: Tensor | None) -> Product | None:
    """Our kernel for x [.., I] times the weight, without gradients; None: torch's is to be taken.
    """
    if (native.observed() or type(x) is not Tensor or not x.is_cpu or weight.numel() < SMALLEST
            or x.dtype != weight.dtype or x.dim() == 0 or x.shape[-1] != weight.shape[1]
            or not native.fits(weight, bias) or torch.is_autocast_enabled("cpu")):
        return None
    if products.wins(x, weight, bias):
        return products.forward
    return native.linear if worthwhile(x.dtype, x.numel() // weight.shape[1]) else None


def worthwhile(dtype: torch.dtype, rows: int) -> bool:
    """Whether our kernels beat torch's products here, for so many rows, and are as exact."""
    return (rows > 0 and native.available(dtype)
            and faster(dtype, next(tried for tried, upto in TRIED.items() if rows <= upto)))


@cache
def faster(dtype: torch.dtype, rows: int) -> bool:
    """Whether our kernels win at one of the tried numbers of rows: measured once per process, when
    it is first asked for, so that a first token does not wait for products it does not need.
    """
    with torch.inference_mode():
        weight = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0)).to(dtype)
        weights = weight.repeat(4, 1, 1)  # more than the caches next to a core hold
        with one_thread():
            return _better(weights, rows)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on this thread alone: its times say the same when other work takes the other cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _better(weights: Tensor, rows: int) -> bool:
    """Whether our product of `rows` rows is as exact as it has to be, and clearly faster."""
    weight, x, turn = weights[0], weights[0, :rows], itertools.cycle(weights)
    exact, ours = F.linear(x.double(), weight.double()), native.linear(x, weight, None)
    if not (ours - exact).norm() <= ERRORS[weight.dtype] * exact.norm():
        return False
    best = fastest(lambda: native.linear(x, next(turn), None), lambda: F.linear(x, next(turn)))
    return best[0] <= GAIN * best[1]


def fastest(*works: Callable[[], object], runs: int = 8) -> list[float]:
    """Seconds of the fastest of some runs of each, taken in turn: of this thread, which other work
    on the machine disturbs least."""
    best = [float("inf")] * len(works)
    for _ in range(runs):
        for place, work in enumerate(works):
            start = time.thread_time()
            work()
            best[place] = min(best[place], time.thread_time() - start)
    return best


def describe() -> str:
    """What was chosen, for `enfold env`."""
    return "; ".join(f"{str(dtype).removeprefix('torch.')} {_told(dtype)}" for dtype in ERRORS)


def _told(dtype: torch.dtype) -> str:
    ours = [rows for rows in TRIED if native.available(dtype) and faster(dtype, rows)]
    return f"ours (measured at {', '.join(map(str, ours))} rows)" if ours else "torch"


@torch.library.custom_op("enfold::linear", mutates_args=())
def _op(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """For graphs: torch.compile sees one operation."""
    return (chosen(x, weight, bias) or F.linear)(x, weight, bias)


@_op.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]))
