"""Writing adapters: one folder for the adapter "default", a folder below it for each other one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from enfold.adapt.adapters import Adapters
from enfold.adapt.config import CONFIG
from enfold.adapt.files import PREFIX, adapter_state, entries, read_adapter, write_adapter
from enfold.adapt.labels import write_labels
from enfold.adapt.lora.convert import from_original
from enfold.errors import unknown_arguments
from enfold.files import HubOptions, atomic_folder_write, push_to_hub, read_json, write_json

ARGUMENTS = ("safe_serialization", "selected_adapters", "save_embedding_layers", "is_main_process",
             "state_dict", "push_to_hub", "path_initial_model_for_weight_conversion")


def save_adapters(adapters: Adapters, save_directory: str | os.PathLike[str], *,
                  safe_serialization: bool = True, selected_adapters: Sequence[str] | None = None,
                  save_embedding_layers: bool | str = "auto", is_main_process: bool = True,
                  state_dict: Mapping[str, Tensor] | None = None, push_to_hub: bool = False,
                  path_initial_model_for_weight_conversion: str | os.PathLike[str] | None = None,
                  **upload: Any) -> None:
    """Write adapter_config.json, weights and names of labels, for all adapters or selected ones.

    save_embedding_layers: also the base model's embeddings; "auto": if their number is not that of
    the base model's folder.  state_dict: a PeftModel's state to take the tensors from.
    path_initial_model_for_weight_conversion: where the adapter was saved before training, to write
    one for the original base; see `lora.convert`.
    safe_serialization=False writes a torch pickle.  push_to_hub uploads; `upload` are its options.
    """
    if not is_main_process:
        return
    if upload and not push_to_hub:
        raise unknown_arguments("save_pretrained of adapters", upload, ARGUMENTS)
    for name in selected_adapters or adapters.configs:
        adapters.check(name)
        embeddings = (_resized(adapters, name) if save_embedding_layers == "auto"
                      else bool(save_embedding_layers))
        tensors = adapter_state(adapters, name, embeddings=embeddings)
        if state_dict is not None:
            tensors = _taken(adapters, name, tensors, state_dict)
        config = adapters.configs[name].copy()
        if (start := path_initial_model_for_weight_conversion) is not None:
            config, tensors = from_original(config, tensors, read_adapter(start, HubOptions()),
                                            str(start))
        config.inference_mode = True
        with atomic_folder_write(Path(save_directory) / folder_of(name)) as staging:
            write_adapter(Path(staging), tensors, safe=safe_serialization)
            write_json(Path(staging) / CONFIG, config.to_dict())
            write_labels(adapters, name, Path(staging))
    if push_to_hub:
        _upload(Path(save_directory), upload)


def folder_of(name: str) -> str:
    """The folder of an adapter below the one that is saved to."""
    return "" if name == "default" else name


def _resized(adapters: Adapters, name: str) -> bool:
    """Whether the base model's vocabulary is not the one of its folder; asks no network."""
    base = Path(adapters.configs[name].base_model_name_or_path or "") / "config.json"
    size = getattr(getattr(adapters.model, "config", None), "vocab_size", None)
    return bool(size) and base.is_file() and read_json(base).get("vocab_size", size) != size


def _taken(adapters: Adapters, name: str, tensors: Mapping[str, Tensor],
           state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapter's tensors, out of the state of a PeftModel or of the model where it has them."""
    inner = {key: held for key, held, _ in entries(adapters, name)}
    bare = {f"{PREFIX}{key}": tensor for key, tensor in state.items()} | dict(state)
    return {key: bare.get(inner.get(key, key), tensor) for key, tensor in tensors.items()}


def _upload(folder: Path, options: dict[str, Any]) -> None:
    push_to_hub(folder, options.pop("repo_id", folder.name), **options)


