"""Values to a device: tensors, and what holds them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor


def moved(value: Any, device: torch.device) -> Any:
    """`value` with its tensors on `device`; itself if they are there already.

    Goes into tuples, lists, dictionaries and frozen dataclasses (contexts, runs).  What is written
    to during a pass (caches, traces) is left as it is.
    """
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device)
    if isinstance(value, tuple | list):
        return _kept(value, list(value), [moved(item, device) for item in value])
    if isinstance(value, dict):
        items = [moved(item, device) for item in value.values()]
        if all(new is old for new, old in zip(items, value.values(), strict=True)):
            return value
        return type(value)(zip(value, items, strict=True))
    if is_dataclass(value) and getattr(value, "__dataclass_params__").frozen:  # noqa: B009
        return _moved_fields(value, device)
    return value


def _kept(value: Any, old: list[Any], new: list[Any]) -> Any:
    if all(a is b for a, b in zip(new, old, strict=True)):
        return value
    return type(value)(new)


def _moved_fields(value: Any, device: torch.device) -> Any:
    """Private fields are what was computed from the others: a moved twin computes its own."""
    public = {field.name: getattr(value, field.name) for field in fields(value)
              if not field.name.startswith("_")}
    changed = {name: new for name, old in public.items()
               if (new := moved(old, device)) is not old}
    if not changed:
        return value
    private = {field.name: field.default_factory() for field in fields(value)
               if field.name.startswith("_") and callable(field.default_factory)}
    return replace(value, **changed, **private)


def device_of(value: Any) -> torch.device | None:
    """Where the first tensor in `value` is."""
    if isinstance(value, Tensor):
        return value.device
    parts = value.values() if isinstance(value, dict) else value
    if not isinstance(value, tuple | list | dict):
        return None
    return next((found for part in parts if (found := device_of(part)) is not None), None)
