"""Weights of any model to a folder and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from enfold.errors import CheckpointError
from enfold.files import open_checkpoint, write_checkpoint


def save_weights(model: Any, folder: Path, state_dict: Any = None, safe: bool = True) -> None:
    """Write a model as its own `save_pretrained` does, or else its state_dict.

    safe=False writes pickles of torch instead of safetensors.
    """
    model = getattr(model, "_orig_mod", model)
    if hasattr(model, "save_pretrained"):
        given = {} if state_dict is None else {"state_dict": state_dict}
        given |= {} if safe else {"safe_serialization": False}
        model.save_pretrained(str(folder), **given)
        return
    tensors = model.state_dict() if state_dict is None else state_dict
    write_checkpoint(folder, {name: tensor.contiguous() for name, tensor in tensors.items()},
                     safe=safe)


def load_weights(model: Any, folder: Path) -> None:
    """Read what `save_weights` wrote into a model that exists."""
    model = getattr(model, "_orig_mod", model)
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint {folder}. Do: name a folder "
                              "checkpoint-<step>, or True for the last one in output_dir")
    if hasattr(model, "load_adapter") and list(folder.glob("**/adapter_config.json")):
        _load_adapters(model, folder)
        return
    checkpoint = open_checkpoint(str(folder))
    with torch.no_grad():
        result = model.load_state_dict({name: checkpoint.get(name) for name in checkpoint},
                                       strict=False)
    shared = _shared(model)
    missing = [name for name in result.missing_keys if name not in shared]
    if missing or result.unexpected_keys:
        raise CheckpointError(
            f"{folder} is not a checkpoint of this {type(model).__name__}: missing "
            f"{missing[:3] or 'nothing'}, not known {list(result.unexpected_keys)[:3] or 'none'}. "
            "Do: build the model as it was when the checkpoint was written")


def _load_adapters(model: Any, folder: Path) -> None:
    active = getattr(model, "active_adapters", ["default"])
    active = active() if callable(active) else active
    name = [active][0] if isinstance(active, str) else active[0]
    if (folder / "adapter_config.json").is_file():
        model.load_adapter(str(folder), name, is_trainable=True)
    for part in sorted(folder.iterdir()):
        if (part / "adapter_config.json").is_file():
            model.load_adapter(str(part), part.name, is_trainable=part.name == name)
    model.set_adapter(name)


def _shared(model: nn.Module) -> set[str]:
    """Names of tensors that are others' too, of which a file holds one; and computed buffers."""
    seen: dict[int, str] = {}
    found = {name for name, _ in model.named_buffers()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in seen:
            found |= {name, seen[id(parameter)]}
        seen[id(parameter)] = name
    return found
