"""Where a model's tensors go as they are read, and what makes it run there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from enfold.weights.place.devices import canonical
from enfold.weights.place.disk import Folder, Mapped, mapped
from enfold.weights.place.parts import their_names
from enfold.weights.place.planner import Place, Plan

log = logging.getLogger("enfold")

if TYPE_CHECKING:
    from enfold.files import Checkpoint
    from enfold.weights.names import NameTable
    from enfold.weights.place.run import Placement


class Homes:
    """All on one device."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.only = device

    def device(self, name: str) -> torch.device | None:
        """Where the tensor or layer called `name` (ours) is put."""
        return self.only

    def part(self, name: str, whole: Tensor) -> Tensor:
        """What is wanted of the checkpoint's tensor for `name`."""
        return whole

    def take(self, name: str, value: Tensor, dtype: torch.dtype, checkpoint: Checkpoint,
             key: str) -> Tensor:
        """The tensor `name` of what a checkpoint holds as `key`."""
        return value.to(device=self.device(name), dtype=dtype)

    def keep(self, model: nn.Module, path: str) -> None:
        """Put away what was made here, not read: all tensors of the module at `path` (ours)."""

    def run(self, model: nn.Module) -> Placement | None:
        """Make the loaded model run where its parts are."""
        return None

    def as_map(self, model: nn.Module) -> dict[str, Place]:
        """`model.hf_device_map`: their module -> its place."""
        return {"": "cpu" if self.only is None else canonical(self.only)}


class Spread(Homes):
    """By a plan.  devices: torch's device of each place that runs or holds something."""

    def __init__(self, plan: Plan, devices: dict[Place, torch.device], folder: Folder,
                 names: NameTable) -> None:
        super().__init__()
        self.plan, self.devices, self.folder, self.names = plan, devices, folder, names
        self.mapped: dict[int, Mapped] = {}

    def place(self, name: str) -> Place:
        """The place of a tensor or module (our name)."""
        path = name.split(".")
        for end in range(len(path), 0, -1):
            if (found := self.plan.places.get(".".join(path[:end]))) is not None:
                return found
        return self.plan.main

    def device(self, name: str) -> torch.device:
        place = self.place(name)
        return torch.device("cpu") if place == "disk" else self.devices[place]

    def take(self, name: str, value: Tensor, dtype: torch.dtype, checkpoint: Checkpoint,
             key: str) -> Tensor:
        if self.place(name) != "disk":
            return self._pinned(name, super().take(name, value, dtype, checkpoint, key))
        if value.dtype == dtype:
            found = mapped(checkpoint.file(key), key, value)
            if found is not None:
                self.mapped[found.address] = found
                return value
        kept = self._written(name, value.to(dtype))
        checkpoint.release(key)
        return kept

    def _pinned(self, name: str, value: Tensor) -> Tensor:
        """Memory that a GPU reads by itself, for what is offloaded from one."""
        main = self.devices[self.plan.main]
        away = self.place(name) not in self.plan.limits.devices
        return value.pin_memory() if away and main.type == "cuda" and torch.cuda.is_available() \
            else value

    def keep(self, model: nn.Module, path: str) -> None:
        if self.place(path) != "disk":
            return
        for below, module in nn.Module.get_submodule(model, path).named_modules(prefix=path):
            for table in (module._parameters, module._buffers):
                self._keep_table(below, table)

    def _keep_table(self, path: str, table: dict[str, Any]) -> None:
        for leaf, tensor in list(table.items()):
            if tensor is None or tensor.is_meta:
                continue
            if tensor.data_ptr() not in self.mapped:
                kept = self._written(f"{path}.{leaf}", tensor.detach())
                table[leaf] = (nn.Parameter(kept, requires_grad=False)
                               if isinstance(tensor, nn.Parameter) else kept)

    def _written(self, name: str, value: Tensor) -> Tensor:
        kept, found = self.folder.keep(self.names.theirs(name), value)
        if found is not None:
            self.mapped[found.address] = found
        return kept

    def run(self, model: nn.Module) -> Placement:
        from enfold.weights.place.run import spread

        log.info("%s is placed over several places:\n%s", type(model).__name__, self.plan)
        return spread(model, self.plan, self.devices, self.mapped)

    def as_map(self, model: nn.Module) -> dict[str, Place]:
        return device_map_of(model, self.plan)


def device_map_of(model: Any, plan: Plan) -> dict[str, Place]:
    """The highest paths of theirs whose tensors are all of one part."""
    owners: dict[str, set[str]] = {}
    for part in plan.parts:
        for name in their_names(model, part):
            path = name.split(".")
            for end in range(1, len(path)):
                owners.setdefault(".".join(path[:end]), set()).add(part.name)
    found: dict[str, Place] = {}
    for part in plan.parts:
        for name in their_names(model, part):
            path = name.split(".")
            tops = (".".join(path[:end]) for end in range(1, len(path) + 1))
            top = next((top for top in tops if owners.get(top, {part.name}) == {part.name}), name)
            found.setdefault(top, plan.places[part.name])
    return found
