"""Optimizers of torch without its compiler, whose import takes longer than many a first step.

Methods of `torch.optim.Optimizer` are wrapped so that torch.compile leaves them alone, and the
first call of each imports the compiler for that.  Until somebody else has imported it, there is
nothing to leave alone, and they are called as they are (`compiler_later`).  `step` of torch's
optimizers imports it as well; `light` makes a class without that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

COMPILER, MARK = "torch._dynamo", "__dynamo_disable"  # where torch keeps the wrapped function


def compiler_later() -> None:
    """Have the methods of Optimizer wrapped only once the compiler is there."""
    for method in vars(Optimizer).values():
        code, inner = getattr(method, "__code__", None), getattr(method, "__wrapped__", None)
        if code is not None and inner is not None and code.co_filename.endswith("_compile.py") \
                and not hasattr(inner, MARK):
            setattr(inner, MARK, _plain(inner))


def light(kind: type[Optimizer]) -> type[Optimizer]:
    """A class of torch's whose step imports no compiler; its name and numbers are the same."""
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {"step": step, "__module__": kind.__module__,
                                         "__doc__": kind.__doc__})


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        compiler: Any = sys.modules.get(COMPILER)
        if hasattr(compiler, "disable"):
            wrapped = compiler.disable(function, True, wrapping=False)
            setattr(function, MARK, wrapped)
            return wrapped(*args, **kwargs)
        return function(*args, **kwargs)

    return call
