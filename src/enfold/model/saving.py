"""save_pretrained: config, generation config and weights, put in place whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from torch import Tensor

from enfold.errors import ArgumentError, CheckpointError, nearest, unknown_arguments
from enfold.files import atomic_folder_write, push_to_hub, write_checkpoint, write_json
from enfold.model.base import PreTrainedModel
from enfold.model.quantizing import stored_config
from enfold.weights.pieces import in_pieces
from enfold.weights.save import to_save

if TYPE_CHECKING:
    from enfold.adapt import Adapters

CONFIG, GENERATION = "config.json", "generation_config.json"
ARGUMENTS = ("is_main_process", "state_dict", "max_shard_size", "safe_serialization", "variant")


def save_pretrained(model: PreTrainedModel, save_directory: str | os.PathLike[str], *,
                    is_main_process: bool = True, state_dict: Mapping[str, Tensor] | None = None,
                    max_shard_size: int | str = "50GB", safe_serialization: bool = True,
                    variant: str | None = None, push_to_hub: bool = False, **upload: Any) -> None:
    """Write a checkpoint that transformers 4 and 5 read, in place of an older one in the same
    folder.  Of a model with adapters these alone are written, as peft writes them.

    state_dict: tensors to write instead of the model's (their names).  safe_serialization=False
    writes torch pickles.  push_to_hub uploads the folder; `upload` are its options (repo_id, token,
    private...).  A model that processes share (tp_plan) is gathered: call this in all of them; the
    first writes.
    """
    shared = _gathered(model) if model.tp_size else None
    if not is_main_process or (shared is not None and not _first_rank()):
        return
    if upload and not push_to_hub:
        if any(nearest(name, ARGUMENTS) for name in upload):
            raise unknown_arguments("save_pretrained", upload, ARGUMENTS)
        raise ArgumentError(f"save_pretrained: {', '.join(upload)} only matter with "
                            "push_to_hub=True. Do: leave it out, or push_to_hub=True")
    if model.adapters is not None:
        _save_adapters(model.adapters, save_directory, state_dict=state_dict,
                       safe_serialization=safe_serialization, push_to_hub=push_to_hub, **upload)
        return
    tensors = to_save(model, model.names, model.stored) if shared is None else shared
    if state_dict is not None:
        tensors = _chosen(tensors, state_dict)
    with atomic_folder_write(save_directory) as staging:
        write_checkpoint(staging, in_pieces(tensors, model.pieces), max_shard_size=max_shard_size,
                         safe=safe_serialization, variant=variant)
        write_json(staging / CONFIG, saved_config(model))
        if model.can_generate():
            model.generation_config.save_pretrained(staging)
    if push_to_hub:
        _upload(Path(save_directory), upload)


def _gathered(model: PreTrainedModel) -> dict[str, Tensor]:
    """The whole tensors of a model that processes share; each of them has to come here."""
    from enfold.weights.shard.model import gathered

    return gathered(model, to_save(model, model.names, model.stored))


def _first_rank() -> bool:
    import torch.distributed as dist

    return dist.get_rank() == 0


def _save_adapters(adapters: Adapters, folder: str | os.PathLike[str], **options: Any) -> None:
    from enfold.adapt.saving import save_adapters

    save_adapters(adapters, folder, **options)


def saved_config(model: PreTrainedModel) -> dict[str, Any]:
    """config.json with the architecture and dtype of the model."""
    values: dict[str, Any] = model.config.to_save()
    values["architectures"] = [type(model).__name__]
    values.pop("quantization_config", None)
    if model.is_quantized:
        values["quantization_config"] = stored_config(model)
    key = "torch_dtype" if "torch_dtype" in values else "dtype"
    if values.get(key) != str(model.dtype).removeprefix("torch."):
        values[key] = str(model.dtype).removeprefix("torch.")
    return values


def push_model(model: PreTrainedModel, repo_id: str, *, max_shard_size: int | str = "50GB",
               safe_serialization: bool = True, variant: str | None = None, **upload: Any) -> Any:
    """Save into a temporary folder and upload it."""
    with TemporaryDirectory() as folder:
        save_pretrained(model, folder, max_shard_size=max_shard_size,
                        safe_serialization=safe_serialization, variant=variant)
        return push_to_hub(folder, repo_id, **upload)


def _upload(folder: Path, options: dict[str, Any]) -> None:
    repo = options.pop("repo_id", folder.name)
    push_to_hub(folder, repo, **options)


def _chosen(wanted: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a given state, each once under its first name."""
    chosen = {name: state[name] for name in wanted if name in state}
    missing = [name for name in wanted if name not in state]
    if missing:
        raise CheckpointError("save_pretrained: state_dict lacks "
                              f"{', '.join(map(repr, missing[:6]))}. "
                              "Do: give the whole state of the model, or leave state_dict out")
    return chosen
