"""What a user asks for, as homes for the tensors of a model.

    device_map="auto" | "balanced" | "balanced_low_0" | "sequential"     planned, see `planner`
    device_map={"model.embed_tokens": 0, "model.layers.0": 0, "lm_head": "cpu", "": "disk"}
    device_map="cpu" | "cuda:1" | 1 | torch.device(...)                   all on one device
    max_memory={0: "10GiB", "cpu": "30GB"}        limits; "cpu" beside GPUs allows offload to it
    offload_folder="offload"                      allows offload to the disk
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import nn

from enfold.errors import CheckpointError, InputError, nearest
from enfold.files.shards import parse_size
from enfold.weights.place.devices import (
    as_device,
    canonical,
    check_place,
    free_memory,
    gpu_memory,
    place_device,
    rank_device,
    ranked,
)
from enfold.weights.place.disk import Folder
from enfold.weights.place.homes import Homes, Spread
from enfold.weights.place.parts import model_parts, their_names, work_size
from enfold.weights.place.planner import KINDS, Limits, Part, Place, Plan, make_plan
from enfold.weights.place.show import size

log = logging.getLogger("enfold")
ROOM = 0.2  # of a device: more than this stays free beside offloaded parts only with a warning
EMPTY = ("rotary_emb", "drop", "dropout", "act", "activation")  # modules of theirs without tensors


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `from_pretrained`."""

    device_map: Any = None
    max_memory: Mapping[Any, int | str] | None = None
    offload_folder: str | os.PathLike[str] | None = None

    def homes(self, model: nn.Module, dtype: torch.dtype | None) -> Homes:
        """Where the tensors of a model go that is built, but not loaded: floats as `dtype`."""
        asked = self.device_map
        planned = isinstance(asked, str) and asked in KINDS
        if self.max_memory is not None and not planned:
            raise InputError(f"max_memory is for planned maps, and device_map is {asked!r}. Do: "
                             "device_map='auto', or leave max_memory out")
        if planned and ranked():
            return Homes(rank_device())
        if not planned and not isinstance(asked, dict):
            return Homes(torch.get_default_device() if asked is None
                         else as_device(asked, "device_map"))
        if isinstance(asked, dict) and set(asked) == {""} and asked[""] != "disk":
            return Homes(as_device(asked[""], "device_map"))
        parts = model_parts(model, dtype)
        if planned:
            plan = make_plan(parts, self._limits(work_size(model, dtype)), asked)
            _warn_of_room(plan)
        else:
            plan = given_plan(model, parts, asked)
        return self._settled(model, plan)

    def _settled(self, model: Any, plan: Plan) -> Homes:
        devices = {place: place_device(place) for place in {*plan.limits.devices,
                                                            *plan.places.values()}}
        if len(set(plan.places.values())) == 1 and "disk" not in devices:
            return Homes(devices[plan.main])
        devices.setdefault("cpu", torch.device("cpu"))
        return Spread(plan, devices, Folder(self.offload_folder), model.names)

    def _limits(self, work: int) -> Limits:
        if not isinstance(self.max_memory, Mapping | None):
            raise InputError(f"max_memory is {self.max_memory!r}, expected a size by place. Do: "
                             "max_memory={0: '10GiB', 'cpu': '30GB'}")
        given = {place: limit(place, size) for place, size in (self.max_memory or {}).items()}
        gpus = gpu_memory()
        for place in given:
            check_place(place, gpus, "max_memory")
        devices: tuple[Place, ...] = tuple(
            place for place in gpus if not given or given.get(place, 0)) or ("cpu",)
        tiers: list[Place] = ["cpu"] if "cpu" in given and "cpu" not in devices else []
        if self.offload_folder is not None or "disk" in given:
            tiers.append("disk")
        rooms = gpus | ({"cpu": inf if not tiers else free_memory()} | given)
        return Limits({place: rooms.get(place, inf) for place in (*devices, *tiers)}, devices,
                      tuple(tiers), work)


def given_plan(model: Any, parts: list[Part], asked: Mapping[str, Any]) -> Plan:
    """The plan that a dictionary of their names says."""
    gpus = gpu_memory()
    for place in asked.values():
        check_place(canonical(place), gpus, "device_map")
    used: set[str] = set()
    places = {part.name: _place_of(part, their_names(model, part), asked, used) for part in parts}
    unused = [key for key in asked if key not in used and not _is_empty(key)]
    if unused:
        known = {name.rpartition(".")[0] for part in parts for name in their_names(model, part)}
        raise InputError(f"device_map has an entry {unused[0]!r} that matches nothing of the model"
                         f"{nearest(unused[0], known)}. Do: remove it, or see the names in "
                         "model.named_parameters()")
    held = dict.fromkeys(places.values())
    devices = tuple(place for place in held if place not in ("cpu", "disk")) or ("cpu",)
    tiers = tuple(place for place in ("cpu", "disk") if place in held and place not in devices)
    return Plan(places, parts, Limits(dict.fromkeys((*devices, *tiers), inf), devices, tiers))


def _place_of(part: Part, names: list[str], asked: Mapping[str, Any], used: set[str]) -> Place:
    found: dict[Place, str] = {}
    for name in names:
        path = name.split(".")
        keys = [key for end in range(len(path), -1, -1) if (key := ".".join(path[:end])) in asked]
        if not keys:
            raise InputError(f"device_map says nothing about {name!r}. Do: add an entry for it or "
                             "a module above it, or '' for all the rest")
        used.update(keys)
        found.setdefault(canonical(asked[keys[0]]), name)
    if len(found) > 1:
        shown = ", ".join(f"{name!r} on {place!r}" for place, name in found.items())
        raise InputError(f"device_map tears apart what runs as one: {shown}. Do: give "
                         "all of it one place (a block, the embeddings, a head, and what is tied)")
    return next(iter(found))


def _warn_of_room(plan: Plan) -> None:
    """Offloading beside a device with room means that parts are too large to fill it."""
    held = plan.held()
    for place in plan.limits.devices:
        room = plan.limits.bytes[place]
        if plan.offloaded() and held[place] < (1 - ROOM) * room:
            log.warning("device_map: %s of %s on %s stay free beside offloaded parts, which are "
                        "too large for it. max_memory or fewer bits may help", size(
                            room - held[place]), size(room), place)


def _is_empty(key: str) -> bool:
    return key == "" or key.rpartition(".")[2] in EMPTY


def limit(place: Any, size: int | str) -> int:
    """Bytes of an entry of max_memory."""
    if isinstance(size, int) and size >= 0:
        return size
    try:
        return parse_size(size)
    except CheckpointError as error:
        raise InputError(f"max_memory[{place!r}] is {size!r}, expected bytes, or such as '10GiB' "
                         "or '500MB'") from error
