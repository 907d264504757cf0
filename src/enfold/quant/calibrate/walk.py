"""A stack of blocks over samples, block by block: what goes into each linear layer.

Between blocks only the hidden states of the samples are kept, and of a block the second moments of
one layer's inputs at a time.

N samples, T time, D width, I in
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.attention import SelfAttention
from enfold.nn.branch import Branch
from enfold.nn.linear import Conv1D
from enfold.nn.mlp import FeedForward
from enfold.nn.stack import Transformer

Sample = Mapping[str, Tensor]


@dataclass(slots=True)
class Seen:
    """A layer's inputs over the samples: hessian [I, I] the sum of x x^T, size [I] mean |x|."""

    hessian: Tensor
    size: Tensor
    count: int = 0

    def add(self, x: Tensor) -> None:
        """Take inputs [.., I]."""
        rows = x.detach().reshape(-1, x.shape[-1]).float()
        self.hessian.addmm_(rows.t(), rows)
        self.size.add_(rows.abs().sum(0))
        self.count += rows.shape[0]


@dataclass(frozen=True, slots=True)
class Shared:
    """Linear layers of a block with the same input: our paths below the block, and the module
    whose output that is, where it goes nowhere else.
    """

    names: tuple[str, ...]
    source: nn.Module | None


class _Stop(Exception):  # noqa: N818 - no error
    pass


class Walk:
    """The stacks of a model over samples."""

    def __init__(self, model: Any, samples: Sequence[Sample]) -> None:
        self.model, self.samples = model, samples

    def stacks(self) -> list[tuple[str, Transformer]]:
        """(our path, stack), an encoder before its decoder."""
        return [(path, module) for path, module in self.model.body.named_modules(prefix="body")
                if isinstance(module, Transformer)]

    @torch.no_grad()
    def blocks(self, stack: Transformer) -> Iterator[Block]:
        """The blocks in order; each is run again, as it is by then, before the next one comes."""
        states = [self._entry(stack, sample) for sample in self.samples]
        for layer in stack.layers:
            yield Block(layer, states)
            states = [(layer(x, ctx), ctx) for x, ctx in states]

    def _entry(self, stack: Transformer, sample: Sample) -> tuple[Tensor, Any]:
        """What the first block is given."""
        found: list[tuple[Tensor, Any]] = []

        def take(_: nn.Module, args: tuple[Any, ...]) -> None:
            found.append((args[0], args[1]))
            raise _Stop

        handle = stack.layers[0].register_forward_pre_hook(take)
        try:
            self.model(**sample)
        except _Stop:
            pass
        finally:
            handle.remove()
        return found[0]


@dataclass(frozen=True, slots=True)
class Block:
    """A block and what goes into it: (hidden states [1, T, D], context) of each sample."""

    layer: nn.Module
    states: Sequence[tuple[Tensor, Any]]

    def linears(self) -> dict[str, nn.Linear]:
        """Our path below the block -> linear layer."""
        return {name: module for name, module in self.layer.named_modules()
                if isinstance(module, nn.Linear)}

    @torch.no_grad()
    def shared(self) -> list[Shared]:
        """The linear layers by their input, in the order in which they run."""
        calls: list[tuple[str, Tensor]] = []  # held, so that no two inputs have the same place
        hooks = [module.register_forward_pre_hook(_noting(calls, name))
                 for name, module in self.linears().items()]
        _run(self, hooks, self.states[:1])
        groups: list[tuple[Tensor, list[str]]] = []
        for name, x in calls:
            if groups and groups[-1][0] is x:
                groups[-1][1].append(name)
            else:
                groups.append((x, [name]))
        return [Shared(tuple(names), self._source(names)) for _, names in groups]

    def _source(self, names: Sequence[str]) -> nn.Module | None:
        """A norm, or the layer whose outputs come one for one (values before the output
        projection, the upper half of a gated feed-forward).
        """
        path, _, leaf = names[0].rpartition(".")
        branch = self.layer.get_submodule(path) if path else None
        if not isinstance(branch, Branch) or any(isinstance(m, Conv1D) for m in branch.children()):
            return None
        if isinstance(branch, FeedForward) and leaf == "down":
            return branch.up if branch.gate is not None else None
        if isinstance(branch, SelfAttention) and leaf == "o":
            spec = branch.spec
            return branch.v if not spec.fused and spec.heads == spec.kv_heads else None
        norm: Any = branch.norm
        normed = leaf in ("q", "qkv", "gate", "up") and norm is not None
        return norm if normed and norm.weight is not None else None

    @torch.no_grad()
    def seen(self, name: str) -> Seen:
        """The inputs of a linear layer over all samples."""
        linear = self.linears()[name]
        device = linear.weight.device
        size = linear.in_features
        found = Seen(torch.zeros(size, size, device=device), torch.zeros(size, device=device))
        hook = linear.register_forward_pre_hook(lambda _, args: found.add(args[0]))
        _run(self, [hook], self.states)
        found.size /= max(found.count, 1)
        return found


def _noting(calls: list[tuple[str, Tensor]], name: str) -> Callable[..., None]:
    return lambda _, args: calls.append((name, args[0]))


def _run(block: Block, hooks: Sequence[Any], states: Sequence[tuple[Tensor, Any]]) -> None:
    try:
        for x, ctx in states:
            block.layer(x, ctx)
    finally:
        for hook in hooks:
            hook.remove()
