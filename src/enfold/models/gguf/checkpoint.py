"""A GGUF file as a checkpoint under the ecosystem's names, each tensor as its family stores it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.errors import CheckpointError
from enfold.files import Checkpoint
from enfold.files.gguf import GGUFFile, open_shards
from enfold.models.gguf.dialects import Dialect, dialect_of
from enfold.models.gguf.rope import FACTORS
from enfold.models.registry import get_family

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from enfold.config import Config
    from enfold.weights.names import NameTable


def open_gguf(path: Path, config: Config, dtype: torch.dtype | None = None, *,
              keep: bool = False) -> Checkpoint:
    """The tensors of a file (and its further shards), turned into numbers as they are read.

    dtype: what blocks are turned into (default float32).  keep: linear layers stay in the blocks
    that have few bits (packed.py), and `config.quantization_config` says so.  A tensor that the
    architecture has no place for keeps its GGUF name.
    """
    files = open_shards(path)
    dialect = dialect_of(files[0].metadata, path)
    theirs = get_family(config.model_type).plan(config, dialect.suffix).names
    if not keep:
        return Checkpoint([GGUFTensors(file, dialect, theirs, config, dtype) for file in files])
    from enfold.models.gguf.packed import BITS, PackedTensors, stored_config

    parts = [PackedTensors(file, dialect, theirs, config, dtype) for file in files]
    layers = {name: kind for part in parts for name, kind in part.layers.items()}
    if not layers:
        raise CheckpointError(f"{path}: no linear layer is {' or '.join(BITS)}, so there are no "
                              "blocks to keep. Do: leave quantization_config out")
    config.quantization_config = stored_config(layers)
    return Checkpoint([*parts])


class GGUFTensors:
    """One file, by the names of its family."""

    def __init__(self, file: GGUFFile, dialect: Dialect, theirs: NameTable, config: Config,
                 dtype: torch.dtype | None) -> None:
        self.path, self.metadata, self._file = file.path, file.metadata, file
        self._dtype, self._config = dtype, config
        self._held: dict[str, tuple[str, str]] = {}  # their name -> (GGUF's, ours)
        table = dialect.table()
        self._pairs, self._theirs = dialect.pairs, theirs
        for name in file.keys():  # noqa: SIM118 - not a dict
            if name in FACTORS:
                continue
            try:
                ours = table.ours(name)
                self._held[theirs.theirs(ours)] = (name, ours)
            except KeyError:
                self._held[name] = (name, "")

    def keys(self) -> list[str]:
        return list(self._held)

    def shape(self, key: str) -> tuple[int, ...]:
        name, ours = self._held[key]
        shape = self._file.shape(name)
        return shape[::-1] if self._is_transposed(ours) else shape

    def dtype(self, key: str) -> torch.dtype:
        name, _ = self._held[key]
        plain = bool(self._file.entries[name].kind.torch)
        return self._file.dtype(name) if plain or self._dtype is None else self._dtype

    def nbytes(self, key: str) -> int:
        return self._file.nbytes(self._held[key][0])

    def get(self, key: str) -> Tensor:
        """The tensor in the family's layout."""
        name, ours = self._held[key]
        value = self._file.get(name, self.dtype(key))
        if not self._file.entries[name].kind.torch:
            self._file.release(name)  # the blocks have been turned into numbers
        if heads := self._heads(ours):
            return unpaired(value, heads)
        return value.t() if self._is_transposed(ours) else value

    def _heads(self, ours: str) -> int:
        return pair_heads(ours, self._pairs, self._config)

    def release(self, key: str) -> None:
        self._file.release(self._held[key][0])

    def fetch(self, key: str) -> None:
        self._file.fetch(self._held[key][0])

    def _is_transposed(self, ours: str) -> bool:
        module, _, leaf = ours.rpartition(".")
        return leaf == "weight" and self._theirs.is_transposed(module)


def pair_heads(ours: str, pairs: Any, config: Config) -> int:
    """The heads of a projection whose rows GGUF keeps in another order, else 0."""
    module = ours.rpartition(".")[0]
    return next((int(config[key]) for part, key in pairs.items()
                 if module.endswith(f".{part}")), 0)


def unpaired(value: Tensor, heads: int) -> Tensor:
    """Rows of each head from neighbours turned together to the first half and the second."""
    return value.view(heads, -1, 2, *value.shape[1:]).transpose(1, 2).reshape(value.shape)


def paired(value: Tensor, heads: int) -> Tensor:
    """The inverse of `unpaired`."""
    return value.reshape(heads, 2, -1, *value.shape[1:]).transpose(1, 2).reshape(value.shape)
