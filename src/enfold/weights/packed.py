"""Quantized layers of a model: put in place of linear ones, and filled as a checkpoint is read.

A plain tensor is quantized when it is read and its memory given back before the next one, so that
at most one is there in full.  nn/quantized.py says how a format is added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from enfold.errors import CheckpointError, ConfigError
from enfold.nn.linear import Conv1D, Linear
from enfold.nn.quantized import QuantizedLinear

if TYPE_CHECKING:
    from enfold.files import Checkpoint

AHEAD = 2**28  # bytes of a checkpoint that are asked for in advance
Keys = Mapping[str, str]  # name below a layer ("weight.absmax") -> the checkpoint's key


class Method(Protocol):
    """What makes the quantized layers of a model; `config` says how."""

    config: Any

    def layer(self, path: str, linear: nn.Linear, held: Collection[str]) -> QuantizedLinear | None:
        """An empty layer in place of `linear` (on the meta device), or None to leave it.

        path: the ecosystem's name.  held: what the checkpoint has for it, names below the layer
        (("weight", "bias") of a plain one).
        """
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How tensors are read: `place` gives the device for a path (ours)."""

    title: str
    dtype: torch.dtype | None
    place: Callable[[str], torch.device | None]
    measure: bool = False  # whether errors are computed


def packed(root: nn.Module) -> dict[str, QuantizedLinear]:
    """Our path -> quantized layer."""
    return {path: module for path, module in _modules(root)
            if isinstance(module, QuantizedLinear)}


def split(name: str, layers: Collection[str]) -> tuple[str, str] | None:
    """(layer, name below it) of our name, None if it is in none of `layers`."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        if (path := ".".join(parts[:end])) in layers:
            return path, ".".join(parts[end:])
    return None


def held_by_layer(names: Iterable[str], layers: Collection[str]) -> dict[str, set[str]]:
    """Layer -> names below it, of our names."""
    found: dict[str, set[str]] = {}
    for name in names:
        if place := split(name, layers):
            found.setdefault(place[0], set()).add(place[1])
    return found


def in_layers(keys: Mapping[str, str],
              layers: Mapping[str, QuantizedLinear]) -> dict[str, dict[str, str]]:
    """Layer -> {name below it: key} of our name -> key; biases apart."""
    found: dict[str, dict[str, str]] = {}
    for ours, key in keys.items():
        place = split(ours, layers)
        if place and place[1] in ("weight", *layers[place[0]].reads):
            found.setdefault(place[0], {})[place[1]] = key
    return found


def inside(name: str, layers: Collection[str]) -> bool:
    """Whether our name is below one of the layers, and not its bias."""
    place = split(name, layers)
    return place is not None and place[1] != "bias"


def take_state(layer: QuantizedLinear, path: str, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors of a state, plain or stored, into a layer."""
    device = next((tensor.device for tensor in layer.tensors().values()), None)
    moved = {name: tensor.detach().to(device, copy=True) for name, tensor in tensors.items()}
    if set(moved) == {"weight"} and moved["weight"].is_floating_point():
        layer.requantize(moved["weight"])
        return
    missing = sorted(set(layer.wants(moved)) - set(moved))
    if missing:
        raise CheckpointError(f"load_state_dict: the state has no {', '.join(map(repr, missing))} "
                              f"for the {layer.method} layer {path!r}, only "
                              f"{', '.join(map(repr, sorted(moved)))}. Do: load the whole state of "
                              "a quantized model, or plain weights")
    layer.take(moved)


def linears(root: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """(our path, layer) of the linear layers that can be quantized."""
    for path, module in _modules(root):
        if isinstance(module, nn.Linear) and type(module) in (Linear, Conv1D, nn.Linear):
            yield path, module


def _modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for part in ("body", "head"):
        if (top := root._modules.get(part)) is not None:
            yield from top.named_modules(prefix=part)


def put_in(root: nn.Module, method: Method, held: Mapping[str, Collection[str]],
           theirs: Callable[[str], str], exact: tuple[str, ...] = ()) -> None:
    """Replace linear layers by what the method makes of them; raises if that is none.

    Heads that the configuration doesn't ask for, and layers whose names end in one of `exact`,
    stay as they are unless the checkpoint has them quantized.
    """
    found = list(linears(root))
    heads = method.config.heads and not method.config.stored
    for path, linear in found:
        head = path.startswith("head.")
        if head and heads and _shared(root, linear):
            raise _tied(method.config, theirs(path))
        plain = (head and not heads) or theirs(path).endswith(exact)
        if plain and not set(held.get(path, ())) - {"weight", "bias"}:
            continue
        layer = method.layer(theirs(path), linear, held.get(path, ()))
        if layer is not None:
            parent, _, leaf = path.rpartition(".")
            setattr(nn.Module.get_submodule(root, parent), leaf, layer)
    if not packed(root):
        raise _nothing(root, method.config, [theirs(path) for path, _ in found])


def _shared(root: nn.Module, linear: nn.Linear) -> bool:
    """Whether another module has this layer's weight too: the embedding that it is tied to."""
    return sum(module._parameters.get("weight") is linear.weight for module in root.modules()) > 1


def _tied(config: Any, name: str) -> ConfigError:
    """A head that can't be stored otherwise than the embedding."""
    return ConfigError(f"{type(config).__name__} has an empty list of layers to leave as they are, "
                       f"but {name!r} is tied to the embedding, which stays plain. Do: put "
                       f"{name!r} into that list")


def _nothing(root: nn.Module, config: Any, names: list[str]) -> ConfigError:
    """No layer was replaced: why, and what to do."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    why, remedy = ("the checkpoint holds none of them quantized, or the names in that "
                   "configuration fit none", "remove quantization_config from config.json"
                   ) if config.stored else (
        "its lists of names leave all of them out, or name none of them",
        "correct the names, or leave quantization_config out")
    title = f"{type(root).__name__}: {type(config).__name__}"
    if not names:
        why = "the model has none that can be stored in fewer bits"
    return ConfigError(f"{title} quantizes none of the linear layers"
                       f"{f' ({shown})' if names else ''}: {why}. Do: {remedy}")


def in_time(layers: Iterable[str], found: Mapping[str, Keys],
            checkpoint: Checkpoint) -> Iterator[str]:
    """The layers in turn, while the system is asked for the tensors of the next ones: a disk reads
    as one is quantized.
    """
    paths = list(layers)
    at, asked = 0, 0  # layers that have been asked for, and their bytes that are not used yet
    for path in paths:
        while at < len(paths) and asked < AHEAD:
            for key in found.get(paths[at], {}).values():
                checkpoint.fetch(key)
                asked += checkpoint.nbytes(key)
            at += 1
        yield path
        asked -= sum(map(checkpoint.nbytes, found.get(path, {}).values()))


def fill(layer: QuantizedLinear, path: str, keys: Keys, checkpoint: Checkpoint,
         reading: Reading) -> float | None:
    """Read a layer, plain or stored; the relative error of a plain one if that is measured."""
    device = reading.place(path)
    if _is_plain(keys, checkpoint):
        return _quantize(layer, keys["weight"], checkpoint, reading, device)
    missing = sorted(set(layer.wants(keys)) - set(keys))
    if missing:
        raise CheckpointError(
            f"{reading.title}: the checkpoint has no {', '.join(map(repr, missing))} for "
            f"{layer.method} layer {path!r}, only {', '.join(map(repr, sorted(keys.values())))}. "
            "Do: save the quantized model again, or load the original checkpoint and quantize it")
    tensors = {leaf: _owned(checkpoint.get(key), device) for leaf, key in keys.items()}
    layer.take(tensors)
    return None


def _is_plain(keys: Keys, checkpoint: Checkpoint) -> bool:
    """Whether the file has the weight in full: of floats, without any statistics."""
    if set(keys) != {"weight"}:
        return False
    dtype = checkpoint.dtype(keys["weight"])
    return dtype.is_floating_point and dtype.itemsize > 1


def _owned(tensor: Tensor, device: torch.device | None) -> Tensor:
    return tensor.to(device)


def _quantize(layer: QuantizedLinear, key: str, checkpoint: Checkpoint, reading: Reading,
              device: torch.device | None) -> float | None:
    value = checkpoint.get(key)
    weight = value.t() if layer.turned else value
    shape = (layer.out_features, layer.in_features)
    if tuple(weight.shape) != shape:
        raise CheckpointError(f"{reading.title}: tensor {key!r} has shape {tuple(value.shape)}, "
                              f"expected {shape[::-1] if layer.turned else shape}. Do: check "
                              "config.json against the weights")
    weight = weight.to(device=device, dtype=reading.dtype)
    layer.requantize(weight)
    error = relative_error(layer, weight) if reading.measure else None
    del value, weight
    checkpoint.release(key)
    return error


def relative_error(layer: QuantizedLinear, weight: Tensor) -> float:
    """|Q - W| / |W| of a layer that stands for `weight` [O, I]."""
    norm = weight.float().norm()
    return float((layer.dequantize(torch.float32) - weight.float()).norm() / norm.clamp_min(1e-30))
