"""Several adapters in one batch: each row names its own.

    with rows.use(("german", "german", "__base__")): model(ids)

The names hold for the call, not for the model: two threads may use one model with different ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import Tensor

from enfold.errors import InputError
from enfold.nn.tokens import whole_rows

BASE = "__base__"  # the name of no adapter


class Rows:
    """The adapters of the rows of the batch that is running, of one model."""

    def __init__(self) -> None:
        self.held: ContextVar[tuple[str, ...] | None] = ContextVar("rows", default=None)
        self.used = False  # whether there have been names: torch.compile can't read the other

    def get(self) -> tuple[str, ...] | None:
        """The names, or None if all rows use the active adapters."""
        return self.held.get() if self.used else None

    @contextmanager
    def use(self, names: Sequence[str] | None) -> Iterator[None]:
        """Run what is inside with these names."""
        self.used = True
        token = self.held.set(None if names is None else tuple(names))
        try:
            with nullcontext() if names is None else whole_rows():
                yield
        finally:
            self.held.reset(token)

    def __deepcopy__(self, memo: object) -> Rows:
        return Rows()  # a ContextVar can't be copied, and a copy of a model is running nothing

    def __reduce__(self) -> tuple[type[Rows], tuple[()]]:
        return Rows, ()


def groups(names: Sequence[str], x: Tensor) -> dict[str, Tensor]:
    """name -> indices of its rows of x [B, ...]; B may be a multiple (beams, in a row)."""
    times, rest = divmod(x.shape[0], len(names))
    if rest or not times:
        raise InputError(f"adapter_names has {len(names)} names for a batch of {x.shape[0]} rows, "
                         "expected one for each. Do: give a name per row, '__base__' for none")
    found: dict[str, list[int]] = {}
    for row in range(x.shape[0]):
        found.setdefault(names[row // times], []).append(row)
    return {name: torch.tensor(rows, device=x.device) for name, rows in found.items()}
