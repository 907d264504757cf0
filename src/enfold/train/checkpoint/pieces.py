"""Checkpoints in pieces: each rank writes its own, and any number of ranks reads them.

The files are torch.distributed.checkpoint's, in the folders where the ecosystem has them:
`pytorch_model_fsdp_0` (weights, by name) and `optimizer_0` (states, as `state.<weight>.<key>`).
What is read takes the form that its weight has in this run: in pieces as many as there are ranks
now, or whole.

What of torch this needs is imported where it is used, as it takes seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import get_rank, is_initialized

from enfold.errors import CheckpointError
from enfold.train.parallel.sharding import is_piece

WEIGHTS, OPTIMIZER = "pytorch_model_fsdp_0", "optimizer_0"
STATE, GROUPS = "state.", "param_groups"
AS_GIVEN = {"flatten_state_dict": False, "flatten_sharded_tensors": False}  # the keys are ours


# ---- weights -------------------------------------------------------------------------------------
def save_weights(model: nn.Module, checkpoint: Path) -> None:
    """Write this rank's pieces of the weights, and the model's config.

    For a folder that `from_pretrained` reads: `load_weights(model, checkpoint)` into a model built
    from that config, in one process, and `model.save_pretrained(folder)`.
    """
    _write(dict(model.state_dict()), checkpoint / WEIGHTS)
    config: Any = getattr(model, "config", None)
    if hasattr(config, "save_pretrained") and not (is_initialized() and get_rank()):
        config.save_pretrained(checkpoint)


def load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Read them into a model, in pieces or whole."""
    state = dict(model.state_dict())
    try:
        _read(state, checkpoint / WEIGHTS)
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint / WEIGHTS} is not a checkpoint of this {type(model).__name__}: {error}. "
            "Do: build the model as it was when the checkpoint was written") from error


# ---- optimizers ----------------------------------------------------------------------------------
def save_optimizer(model: nn.Module, optimizer: Any, checkpoint: Path) -> None:
    """Write this rank's pieces of an optimizer's state."""
    state, names = optimizer.state_dict(), _names(model, optimizer)
    flat: dict[str, Any] = {GROUPS: _named_groups(state[GROUPS], names)}
    weights = dict(model.named_parameters())
    for number, held in state["state"].items():
        name = names[number]
        for key, value in held.items():
            if torch.is_tensor(value) and value.dim() and not is_piece(value) \
                    and is_piece(weights[name]):
                raise NotImplementedError(
                    f"{type(optimizer).__name__} keeps {key!r} of {name!r} as a tensor of each "
                    "rank's own, which can't be put together again. Do: optim='adamw_torch' with "
                    "fsdp, or save_only_model=True")
            flat[f"{STATE}{name}.{key}"] = value
    _write(flat, checkpoint / OPTIMIZER)


def load_optimizer(model: nn.Module, optimizer: Any, checkpoint: Path) -> None:
    """Read the state that any number of ranks has written into an optimizer."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    names = _names(model, optimizer)
    numbers = {name: number for number, name in names.items()}
    weights = dict(model.named_parameters())
    folder, target, places = checkpoint / OPTIMIZER, {GROUPS: None}, {}
    for key, entry in FileSystemReader(folder).read_metadata().state_dict_metadata.items():
        if not key.startswith(STATE):
            continue
        name, _, part = key.removeprefix(STATE).rpartition(".")
        if name not in numbers:
            raise CheckpointError(f"{folder} has a state of {name!r}, which isn't trained now. Do: "
                                  "build model and adapters as they were in the run")
        places[key] = numbers[name], part
        target[key] = _room(entry, weights[name])
    _read(target, folder)
    state: dict[int, dict[str, Any]] = {}
    for key, (number, part) in places.items():
        state.setdefault(number, {})[part] = target[key]
    groups: Any = target[GROUPS]
    optimizer.load_state_dict({"state": state, GROUPS: [
        {**group, "params": [numbers[name] for name in group["params"]]} for group in groups]})


def in_pieces(model: nn.Module, optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
    """The state_dict of an optimizer of whole weights, for one whose weights are in pieces."""
    names, weights = _names(model, optimizer), dict(model.named_parameters())
    return {**state, "state": {
        number: {key: _like(weights[names[number]], value) for key, value in held.items()}
        for number, held in state["state"].items()}}


def _like(weight: Any, value: Any) -> Any:
    """A tensor of the shape of a weight in pieces as that is; anything else unchanged."""
    if not is_piece(weight) or not torch.is_tensor(value) or value.shape != weight.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements,
                             src_data_rank=None)


@contextmanager
def taking_whole() -> Iterator[None]:
    """A context in which weights in pieces can be written to from whole tensors."""
    from torch.distributed.tensor.experimental import implicit_replication

    with implicit_replication():
        yield


def _names(model: nn.Module, optimizer: Any) -> dict[int, str]:
    """Number in the optimizer's state_dict -> name of the weight."""
    named = {id(weight): name for name, weight in model.named_parameters()}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return {number: named[id(weight)] for number, weight in enumerate(weights)}


def _named_groups(groups: list[dict[str, Any]],
                  names: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{**group, "params": [names[number] for number in group["params"]]} for group in groups]


def _room(entry: Any, weight: Tensor) -> Any:
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    if not isinstance(entry, TensorStorageMetadata):
        return None
    dtype = entry.properties.dtype
    if entry.size == weight.shape and entry.size:
        return torch.zeros_like(weight, dtype=dtype, requires_grad=False)
    return torch.zeros(entry.size, dtype=dtype)


# ---- files ---------------------------------------------------------------------------------------
def _write(state: dict[str, Any], folder: Path) -> None:
    from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
    from torch.distributed.checkpoint.state_dict_saver import save

    with warnings.catch_warnings():  # that there is only one process
        warnings.simplefilter("ignore")
        save(state, checkpoint_id=folder, planner=DefaultSavePlanner(**AS_GIVEN))


def _read(state: dict[str, Any], folder: Path) -> None:
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
    from torch.distributed.checkpoint.state_dict_loader import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load(state, checkpoint_id=folder, planner=DefaultLoadPlanner(**AS_GIVEN))
