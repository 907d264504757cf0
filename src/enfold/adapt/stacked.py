"""An adapted parameter: a module with adapters on one of its parameters, [E, O, I] or [O, I].

    experts                     AdaptedParameter of down_proj
    └── base_layer              AdaptedParameter of gate_up_proj
        └── base_layer          the module

A module of which several are adapted is wrapped once for each, as peft nests them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from enfold.adapt.layer import Adapted
from enfold.errors import InputError
from enfold.nn.moe import NOTHING, Added

if TYPE_CHECKING:
    from enfold.adapt.adapters import Adapters


class AdaptedParameter(Adapted):
    """A module that takes `added`, as the experts and the router of a mixture do."""

    def __init__(self, base: nn.Module, adapters: Adapters, parameter: str) -> None:
        super().__init__(base, adapters)
        self.parameter = parameter

    def forward(self, x: Tensor, *args: Any, added: Mapping[str, Added] = NOTHING) -> Any:
        live = [self.deltas[name] for name in self.adapters.active
                if name in self.deltas and name not in self.merged]
        if self.adapters.enabled and self.adapters.rows.get() is not None:
            raise NotImplementedError("adapter_names: adapters on experts (target_parameters) "
                                      "can't differ by row. Do: run the rows of each adapter on "
                                      "their own")
        if self.adapters.enabled and live:
            added = {**added, self.parameter: together([delta.added() for delta in live])}
        return self.base_layer(x, *args, added=added)

    @property
    def stack(self) -> Tensor:
        """The parameter as [E, O, I]."""
        held: Tensor = getattr(self.base_layer, self.parameter)
        return held if held.dim() == 3 else held[None]

    @property
    def anchor(self) -> Tensor:
        return self.stack

    def sizes(self) -> tuple[int, int]:
        """(inputs, outputs) of one matrix."""
        return self.stack.shape[2], self.stack.shape[1]

    def merge(self, names: tuple[str, ...], *, safe: bool = False,
              dtype: torch.dtype | None = None) -> None:
        """Work adapters into the parameter, matrix by matrix."""
        for name in names:
            if name in self.deltas and name not in self.merged:
                self._add(self.deltas[name], 1, safe=safe)
                self.merged.append(name)

    def unmerge(self) -> None:
        while self.merged:
            self._add(self.deltas[self.merged.pop()], -1)

    @torch.no_grad()
    def _add(self, delta: Any, sign: int, *, safe: bool = False) -> None:
        if safe and not all(bool(torch.isfinite(total).all())
                            for _, total in self._sums(delta, sign)):
            raise InputError(f"merging with safe_merge=True: {self.parameter!r} would hold inf or "
                             "nan. Do: look for an adapter that diverged in training")
        for matrix, total in self._sums(delta, sign):
            matrix.copy_(total)

    def _sums(self, delta: Any, sign: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(matrix, what it is to be), one at a time."""
        for matrix, product in zip(self.stack, delta.products(), strict=True):
            wide = torch.promote_types(matrix.dtype, torch.float32)
            yield matrix, matrix.to(wide) + sign * product.to(wide)


def together(parts: list[Added]) -> Added:
    """Their sum."""
    if len(parts) == 1:
        return parts[0]
    return lambda number, x: torch.stack([part(number, x) for part in parts]).sum(0)


def nested(adapters: Adapters, path: str, module: nn.Module, names: list[str],
           place: Callable[[nn.Module], None]) -> dict[str, AdaptedParameter]:
    """Path -> the wrappers of a module's parameters, the inner ones first; made if need be."""
    held: list[AdaptedParameter] = []
    inner: Any = module
    while isinstance(inner, AdaptedParameter):
        held.insert(0, inner)
        inner = inner.base_layer
    if not held:
        for name in names:
            inner = AdaptedParameter(inner, adapters, name)
            held.append(inner)
        place(inner)
    if [layer.parameter for layer in held] != names:
        raise InputError(f"{path}: another adapter is on {', '.join(x.parameter for x in held)}, "
                         f"expected the same of a further one, got {', '.join(names)}. Do: give "
                         "all adapters the same target_parameters")
    return {path + ".base_layer" * (len(held) - 1 - depth): layer
            for depth, layer in enumerate(held)}
