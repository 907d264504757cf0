"""A model's weights, in one file or many, of either format, behind one face.

    model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json

is the order in which a folder or repository is searched; with variant="fp16" they are
model.fp16.safetensors, model.safetensors.index.fp16.json, and so on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from enfold.errors import CheckpointError, FileMissing, nearest
from enfold.files import hub
from enfold.files.hub import HubOptions
from enfold.files.mapped import MappedFile
from enfold.files.pickles import PickleFile
from enfold.files.safetensors import SafetensorsFile
from enfold.files.shards import read_index

if TYPE_CHECKING:
    import torch


class TensorFile(Protocol):
    """One file of tensors: what `SafetensorsFile` and `PickleFile` have in common."""

    path: Path
    metadata: dict[str, str]

    def keys(self) -> list[str]: ...
    def shape(self, key: str) -> tuple[int, ...]: ...
    def dtype(self, key: str) -> torch.dtype: ...
    def nbytes(self, key: str) -> int: ...
    def get(self, key: str) -> torch.Tensor: ...
    def release(self, key: str) -> None: ...


class Checkpoint:
    """The tensors of a checkpoint by the names in its files.

    `get` maps a tensor from its file, so that nothing is read before it is used and writing to it
    leaves the file alone.  `metadata` is the files' own ({"format": "pt"}), `paths` the files.
    """

    def __init__(self, files: list[TensorFile], weight_map: Mapping[str, str] | None = None,
                 metadata: Mapping[str, Any] | None = None) -> None:
        self.paths = [file.path for file in files]
        self.metadata: dict[str, Any] = {k: v for file in files for k, v in file.metadata.items()}
        self.metadata |= metadata or {}
        self._home = _homes(files, weight_map or {})

    def keys(self) -> KeysView[str]:
        return self._home.keys()

    def spelled(self, name: str) -> str:
        """What the files call the tensor that is shown as `name`."""
        return name

    def items(self) -> ItemsView[str, torch.Tensor]:
        return _Items(self)

    def shape(self, key: str) -> tuple[int, ...]:
        return self._file(key).shape(key)

    def dtype(self, key: str) -> torch.dtype:
        return self._file(key).dtype(key)

    def nbytes(self, key: str) -> int:
        return self._file(key).nbytes(key)

    def get(self, key: str) -> torch.Tensor:
        """One tensor on the CPU; `CheckpointError` with near names if there is none."""
        return self._file(key).get(key)

    def release(self, key: str) -> None:
        """Give back the memory that reading a tensor took; it is read from its file again if it is
        still in use.  Nobody may have written to it.
        """
        self._file(key).release(key)

    def fetch(self, key: str) -> None:
        """Have a tensor read from its file before it is used, where the system can be told so."""
        if isinstance(file := self._file(key), MappedFile):
            file.fetch(key)

    def file(self, key: str) -> TensorFile:
        """The open file that holds a tensor."""
        return self._file(key)

    __getitem__ = get

    def __contains__(self, key: object) -> bool:
        return key in self._home

    def __iter__(self) -> Iterator[str]:
        return iter(self._home)

    def __len__(self) -> int:
        return len(self._home)

    def _file(self, key: str) -> TensorFile:
        try:
            return self._home[key]
        except KeyError:
            where = self.paths[0] if len(self.paths) == 1 else self.paths[0].parent
            raise CheckpointError(f"{where}: no tensor {key!r}{nearest(key, self._home)}. "
                                  f"It holds {len(self._home)} tensors") from None


def open_checkpoint(name_or_path: str | os.PathLike[str], options: HubOptions | None = None, *,
                    variant: str | None = None, use_safetensors: bool | None = None) -> Checkpoint:
    """Open the weights of a folder, a Hub repository, or one file of weights.

    use_safetensors: True for safetensors only, False for pickles only, None for either.
    Raises `FileMissing` if there are none, `CheckpointError` if they are damaged.
    """
    options = options or HubOptions()
    path = hub.local_path(name_or_path)
    if path is not None and path.is_file():
        return _open(path, lambda shard: path.parent / shard)

    def shard(name: str) -> Path | None:
        return hub.find(name_or_path, name, options)

    for name in _names(variant, use_safetensors):
        if found := hub.find(name_or_path, name, options, required=False):
            return _open(found, shard)
    if not hub.knows_all(name_or_path, options):  # then it may only be that nobody could be asked
        hub.find(name_or_path, _names(variant, use_safetensors)[0], options)
    raise _no_weights(name_or_path, options, variant, use_safetensors)


def open_file(path: str | os.PathLike[str]) -> TensorFile:
    """Open one file of tensors, told apart by its name."""
    path = Path(path)
    return SafetensorsFile(path) if path.suffix == ".safetensors" else PickleFile(path)


def _open(path: Path, find: Callable[[str], Path | None]) -> Checkpoint:
    if path.suffix != ".json":
        return Checkpoint([open_file(path)])
    weight_map, metadata = read_index(path)
    files = []
    for shard in sorted(set(weight_map.values())):
        try:
            files.append(open_file(find(shard) or path.parent / shard))
        except FileMissing as error:
            raise FileMissing(f"{path}: the shard {shard!r} is missing, which holds the tensors "
                              f"{_some(k for k, v in weight_map.items() if v == shard)}. "
                              f"{error}") from error
    checkpoint = Checkpoint(files, weight_map, metadata)
    for name, shard in weight_map.items():
        if name not in checkpoint:
            raise CheckpointError(f"{path}: tensor {name!r} is said to be in {shard!r}, which does "
                                  "not hold it. Do: download or save the checkpoint again")
    return checkpoint


def _homes(files: list[TensorFile], weight_map: Mapping[str, str]) -> dict[str, TensorFile]:
    """Which file to take each tensor from; an index decides where two hold one of a name."""
    homes: dict[str, TensorFile] = {}
    for file in files:
        for key in file.keys():  # noqa: SIM118 - not a dict
            told = weight_map.get(key)
            if told is None and key in homes:
                raise CheckpointError(f"tensor {key!r} is in {homes[key].path} and in {file.path}, "
                                      "and no index says which to take. Do: remove one of them")
            if told in (None, Path(file.path).name):
                homes[key] = file
    return homes


def _names(variant: str | None, use_safetensors: bool | None) -> list[str]:
    """The files to look for, in order."""
    stems = []
    if use_safetensors is not False:
        stems += ["model.safetensors", "model.safetensors.index.json"]
    if not use_safetensors:
        stems += ["pytorch_model.bin", "pytorch_model.bin.index.json"]
    return [add_variant(name, variant) for name in stems]


def add_variant(name: str, variant: str | None) -> str:
    """model.safetensors -> model.fp16.safetensors."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{variant}.{suffix}" if variant else name


def _no_weights(name: str | os.PathLike[str], options: HubOptions, variant: str | None,
                use_safetensors: bool | None) -> FileMissing:
    looked = ", ".join(_names(variant, use_safetensors))
    held = [n for n in hub.list_files(name, options) if "/" not in n]
    foreign = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax",
               "model.ckpt.index": "TensorFlow 1", "model.onnx": "ONNX"}
    others = [n for n in held if n.endswith((".safetensors", ".bin", ".index.json"))]
    advice = "Do: give a folder or repository that has the weights"
    if others:
        advice = f"It has {', '.join(others)}: {_way_to(variant, use_safetensors)}"
    elif kind := next((foreign[n] for n in held if n in foreign), None):
        advice = (f"It has only {kind} weights. Do: convert them once with transformers 4: "
                  "AutoModel.from_pretrained(name, from_tf=True) (from_flax=True for Flax), then "
                  "model.save_pretrained(folder), and load that folder")
    return FileMissing(f"{os.fspath(name)}: no weights. Looked for {looked}. {advice}")


def _way_to(variant: str | None, use_safetensors: bool | None) -> str:
    if variant:
        return f"load another than variant={variant!r}, or none"
    if use_safetensors is not None:
        return f"load without use_safetensors={use_safetensors}"
    return "give variant= for 'model.VARIANT.safetensors', or rename the file that is the model"


def _some(names: Iterator[str]) -> str:
    every = list(names)
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")


class _Items(ItemsView[str, Any]):
    """Name and tensor pairs, each tensor mapped when its turn comes."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def __len__(self) -> int:
        return len(self._checkpoint)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((key, self._checkpoint.get(key)) for key in self._checkpoint)

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and item[0] in self._checkpoint
