"""What goes into a checkpoint: each tensor once, under the ecosystem's name."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from enfold.weights.slots import Slot, slots

if TYPE_CHECKING:
    from enfold.weights.names import NameTable


def to_save(model: nn.Module, names: NameTable, stored: Collection[str]) -> dict[str, Tensor]:
    """Tensors of body and head by their names, ties once.

    Those that are computed are left out, unless they are `stored` (by our names) or have changed.
    """
    return {names.theirs(slot.name): slot.tensor.detach() for slot in slots(model)
            if not slot.computed or slot.name in stored or not _as_computed(model, slot)}


def _as_computed(model: nn.Module, slot: Slot) -> bool:
    module = nn.Module.get_submodule(model, slot.name.rpartition(".")[0])
    computed = module.compute()  # type: ignore[operator]
    return torch.equal(slot.tensor, computed.to(slot.tensor))
