"""Tensors that stay in files: mapped, read when they are used, and given back after that.

A tensor of a safetensors checkpoint stays where it is.  One that had to be changed on its way
(cast, quantized, initialised, or read from a pickle) is written to the folder that the user names,
and mapped from there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from enfold.errors import InputError
from enfold.files.safetensors import SafetensorsFile, write_safetensors


@dataclass(frozen=True, slots=True)
class Mapped:
    """A tensor of a file: where it is mapped, and its version when it was."""

    file: SafetensorsFile
    key: str
    address: int
    version: int

    def holds(self, tensor: Tensor) -> bool:
        """Whether `tensor` is still the file's, and not written to."""
        return tensor.data_ptr() == self.address and version(tensor) == self.version

    def fetch(self) -> None:
        """Read its pages."""
        self.file.fetch(self.key)

    def release(self) -> None:
        """Give its pages back."""
        self.file.release(self.key)


def mapped(file: Any, key: str, tensor: Tensor) -> Mapped | None:
    """How `tensor` is mapped from `key` of an open file; None if it is a copy."""
    if not isinstance(file, SafetensorsFile) or tensor.device.type != "cpu":
        return None
    if tensor.data_ptr() != file.get(key).data_ptr():
        return None
    return Mapped(file, key, tensor.data_ptr(), version(tensor))


def version(tensor: Tensor) -> int:
    """How often a tensor was written to, as far as torch counts that."""
    return 0 if tensor.is_inference() else tensor._version


class Folder:
    """Where tensors are written that are to stay on the disk but are in no file as they are."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)

    def keep(self, name: str, tensor: Tensor) -> tuple[Tensor, Mapped | None]:
        """`tensor` in a file of its own: (mapped, how)."""
        if tensor.numel() == 0:
            return tensor, None
        if self.path is None:
            raise InputError(f"{name!r} is to stay on the disk, but no safetensors file holds it "
                             f"as {_kind(tensor)}, so it has to be written. Do: give "
                             "offload_folder='offload', or load safetensors with dtype='auto'")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"offload_folder is {str(self.path)!r}, where no folder can be made "
                             f"({error.strerror}). Do: give a folder that can be written to"
                             ) from error
        target = self.path / f"{name}.safetensors"
        draft = target.with_suffix(f".{os.getpid()}.tmp")
        write_safetensors(draft, {name: tensor.detach()})
        os.replace(draft, target)  # another process may have the old file mapped
        file = SafetensorsFile(target)
        found = file.get(name)
        return found, mapped(file, name, found)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
