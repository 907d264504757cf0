"""Adapters in peft's files: adapter_config.json and adapter_model.safetensors.

A tensor is called base_model.model.<layer>.<part>, without the adapter's name:
base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight.  A file fits or it raises: each of
its tensors has a place, each tensor of the adapter is in it, the shapes agree.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enfold.adapt.adapters import Adapters
from enfold.adapt.lora.old import as_stacks
from enfold.adapt.prompts.files import virtual_entries, virtual_given
from enfold.adapt.registry import get_method
from enfold.errors import CheckpointError, FileMissing, nearest
from enfold.files import HubOptions, resolve
from enfold.files.safetensors import write_safetensors
from enfold.weights.paths import join

WEIGHTS, PICKLE = "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
OUTSIDE = "base_model."  # of methods on the inputs, and of what layers share
PathLike = str | os.PathLike[str]


def adapter_state(adapters: Adapters, name: str, *, embeddings: bool = False) -> dict[str, Tensor]:
    """Name in a file -> tensor of one adapter; with `embeddings` also the base model's tables."""
    state = {key: tensor for key, _, tensor in entries(adapters, name)}
    if embeddings:
        state |= {key: tensor for key, tensor in _tables(adapters).items() if key not in state}
    return state


def entries(adapters: Adapters, name: str) -> Iterator[tuple[str, str, Tensor]]:
    """(name in a file, name in a PeftModel's state, tensor) of one adapter."""
    adapters.check(name)
    yield from _own(adapters, name)
    kept = tuple(f"{path}." for path in adapters.kept)
    for path, bias in adapters.biases(name):
        if not kept or not path.startswith(kept):
            yield PREFIX + path, PREFIX + path, bias


def _own(adapters: Adapters, name: str) -> Iterator[tuple[str, str, Tensor]]:
    """`entries` without the base model's biases."""
    yield from virtual_entries(adapters, name)
    method, config = get_method(adapters.configs[name].peft_type), adapters.configs[name]
    for part, tensor in adapters.shared.get(name, {}).items():
        if method.saves_shared(config):
            yield f"{OUTSIDE}{part}", f"{OUTSIDE}{part}.{name}", tensor
    for path, layer in adapters.layers.items():
        for leaf, tensor in layer.deltas[name].tensors() if name in layer.deltas else ():
            part, _, rest = leaf.partition(".")
            inner = join(f"{part}.{name}", rest)
            yield f"{PREFIX}{path}.{leaf}", f"{PREFIX}{path}.{inner}", tensor
    for path, keeper in adapters.kept.items():
        if name not in keeper.modules_to_save:
            continue
        for leaf, tensor in keeper.modules_to_save[name].state_dict(keep_vars=True).items():
            start = OUTSIDE if name in adapters.prompts else PREFIX
            yield (f"{start}{path}.{leaf}", f"{PREFIX}{path}.modules_to_save.{name}.{leaf}",
                   tensor)


def load_state(adapters: Adapters, name: str, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy the tensors of a file into an adapter; raises unless they fit."""
    tensors = virtual_given(adapters, name, as_stacks(adapters, tensors, PREFIX), source)
    places = adapter_state(adapters, name)
    own = {id(tensor) for other in adapters.configs for _, _, tensor in _own(adapters, other)}
    base = {f"{PREFIX}{path}": tensor for path, tensor in adapters.model.state_dict(
        keep_vars=True).items() if id(tensor) not in own}
    given = {_renamed(key, places): tensor for key, tensor in tensors.items()
             if ".original_module." not in key or key in base}  # what the adapter's copy replaces
    missing = [key for key in places if key not in given]
    unexpected = [key for key in given if key not in places and key not in base]
    if missing or unexpected:
        raise CheckpointError(_mismatch(source, missing, unexpected, places, given))
    for key, tensor in given.items():
        goal = places[key] if key in places else base[key]
        if goal.shape != tensor.shape:
            raise CheckpointError(
                f"{source}: tensor {key!r} has shape {tuple(tensor.shape)}, expected "
                f"{tuple(goal.shape)}. Do: load it onto the base model it was trained on"
                + ("" if key in places else ", after resize_token_embeddings if it was resized"))
    with torch.no_grad():
        for key, tensor in given.items():
            (places[key] if key in places else base[key]).copy_(tensor)


def write_adapter(folder: Path, tensors: Mapping[str, Tensor], *, safe: bool = True) -> None:
    """Write the weights of an adapter."""
    held = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    if safe:
        write_safetensors(folder / WEIGHTS, held, {"format": "pt"})
    else:
        torch.save({key: tensor.cpu() for key, tensor in held.items()}, folder / PICKLE)


def read_adapter(name: PathLike, options: HubOptions) -> dict[str, Tensor]:
    """The tensors of an adapter's file in a folder or Hub repository."""
    for file in (WEIGHTS, PICKLE):
        path = resolve(name, file, **asdict(options), required=False)
        if path is not None:
            return read_weights(path)
    raise FileMissing(f"{name} has neither {WEIGHTS} nor {PICKLE}. Do: give the folder that "
                      "save_pretrained of an adapter wrote")


def brought(tensors: Mapping[str, Tensor]) -> set[str]:
    """What of the base model an adapter's file fills, by the model's names, and its own tensors."""
    return {key.removeprefix(OUTSIDE).removeprefix("model.") for key in tensors} | {
        key.removeprefix(OUTSIDE) for key in tensors}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of one file."""
    if path.suffix == ".bin":
        loaded: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
        return loaded
    from safetensors.torch import load_file

    return load_file(path)


def fit_embeddings(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Resize a base model's embeddings to what an adapter's file holds of them, if it does."""
    if not hasattr(model, "get_input_embeddings"):
        return
    table = model.get_input_embeddings().weight
    for name in [name for name, tensor in model.named_parameters() if tensor is table]:
        held = tensors.get(PREFIX + name)
        if held is not None and held.shape[0] != table.shape[0]:
            model.resize_token_embeddings(held.shape[0])


def _tables(adapters: Adapters) -> dict[str, Tensor]:
    """The base model's embedding and output matrices."""
    found = [getattr(adapters.model, name, lambda: None)()
             for name in ("get_input_embeddings", "get_output_embeddings")]
    wanted = {id(getattr(layer, "weight", None)) for layer in found}
    return {f"{PREFIX}{path}": tensor for path, tensor in adapters.model.named_parameters()
            if id(tensor) in wanted}


def _renamed(key: str, places: Collection[str]) -> str:
    """The name of a tensor that peft writes under another: older releases did for magnitudes, and
    with bias="all" the biases of a layer in modules_to_save stand in a file twice."""
    if key.endswith(".lora_magnitude_vector.weight"):
        return key.removesuffix(".weight")
    layer, kept, leaf = key.partition(".modules_to_save.")
    if kept and f"{layer}.{leaf}" not in places:
        leaf = leaf.partition(".")[2]  # the adapter's name, as it was when it was saved
    return f"{layer}.{leaf}" if kept else key


def _mismatch(source: str, missing: list[str], unexpected: list[str], places: Mapping[str, Tensor],
              given: Mapping[str, Tensor]) -> str:
    parts = []
    if unexpected:
        parts.append(f"{_listed(unexpected)} have no place in the model"
                     + nearest(unexpected[0], places))
    if missing:
        parts.append(f"{_listed(missing)} are not in the file" + nearest(missing[0], given))
    hint = "load it onto the base model it was trained on"
    if unexpected and not any(key.startswith(PREFIX) for key in given):
        hint = f"begin the names with {PREFIX!r}, as peft does"
    return f"{source}: the adapter does not fit: {'; '.join(parts)}. Do: {hint}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


