"""The devices of this machine, by the names of plans: 0, 1, ... (GPUs), "cpu", "disk"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import inf
from typing import Any

import torch

from enfold.errors import InputError
from enfold.weights.place.planner import Place

SHARE = 0.9  # of a device's free memory is what plans may use


def as_device(value: Any, name: str) -> torch.device:
    """A torch device from itself, its name or number; `name`: what the caller calls it."""
    try:
        device = torch.device("cuda", value) if isinstance(value, int) else torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{name} is {value!r}, expected 'auto', 'cpu', 'cuda', 'cuda:1' or a "
                         "torch.device") from error
    if device.type not in ("cpu", "cuda", "meta") and not _is_there(device):
        raise InputError(f"{name} is {value!r}, but torch has no such device here. Do: use 'cpu', "
                         "or leave it out")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{name} is {value!r}, but torch sees no GPU. Do: use 'cpu', or leave it "
                         "out")
    return device


def _is_there(device: torch.device) -> bool:
    """Whether a device that is neither the CPU nor a GPU of CUDA can be used."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True


def canonical(place: Any) -> Place:
    """A place as plans call it: 0 for "cuda:0" and torch.device("cuda", 0), "cpu", "disk"."""
    if place == "disk":
        return "disk"
    device = as_device(place, "device_map")
    if device.type == "cuda":
        return device.index or 0
    return str(device)


def place_device(place: Place) -> torch.device:
    """torch's device of a place; the disk is read into the CPU's memory."""
    if isinstance(place, int):
        return torch.device("cuda", place)
    return torch.device("cpu" if place == "disk" else place)


def check_place(place: Any, gpus: Mapping[Place, float], what: str) -> None:
    """Raise for a device that is not there."""
    if isinstance(place, int) and place not in gpus:
        raise InputError(f"{what} names device {place}, but torch sees {len(gpus)} GPUs. Do: use "
                         "'cpu'" + (f", or 0 to {len(gpus) - 1}" if gpus else ""))
    if not isinstance(place, int) and what == "max_memory" and place not in ("cpu", "disk"):
        raise InputError(f"max_memory names {place!r}, expected the number of a GPU, 'cpu' or "
                         "'disk'")


def ranked() -> bool:
    """Whether torchrun started several processes: then each has one device to itself."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ


def rank_device() -> torch.device:
    """The device of this process."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % gpus) if gpus else \
        torch.device("cpu")


def gpu_memory() -> dict[Place, float]:
    """What plans may use of each GPU's free memory."""
    if not torch.cuda.is_available():
        return {}
    return {index: int(torch.cuda.mem_get_info(index)[0] * SHARE)
            for index in range(torch.cuda.device_count())}


def free_memory() -> float:
    """What plans may use of the CPU's memory, where the system says how much is free."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":") for line in file)
        return int(int(lines["MemAvailable"].split()[0]) * 1024 * SHARE)
    except (OSError, KeyError):
        return inf
