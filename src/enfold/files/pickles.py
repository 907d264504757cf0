"""pytorch_model.bin: tensors in a pickle, read without running any of its code.

torch's weights_only reader knows how to rebuild tensors and nothing else; whatever else a pickle
asks for ends in `UnsafePickle`.  Zip files (torch 1.6 and later) are mapped, older ones are read.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.errors import CheckpointError, FileMissing, UnsafePickle, nearest
from enfold.files.pages import drop_pages

if TYPE_CHECKING:
    import torch

ZIP = b"PK\x03\x04"


class PickleFile:
    """The tensors of one torch.save file, by name."""

    metadata: dict[str, str]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.metadata = Path(path), {}
        self._tensors = _tensors(self.path, _load(self.path))
        self._mapped = _start(self.path).startswith(ZIP)

    def keys(self) -> list[str]:
        return list(self._tensors)

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self.get(key).shape)

    def dtype(self, key: str) -> torch.dtype:
        return self.get(key).dtype

    def nbytes(self, key: str) -> int:
        return self.get(key).nbytes

    def get(self, key: str) -> torch.Tensor:
        try:
            return self._tensors[key]
        except KeyError:
            raise CheckpointError(f"{self.path}: no tensor {key!r}{nearest(key, self._tensors)}. "
                                  f"It holds {len(self._tensors)} tensors") from None

    def release(self, key: str) -> None:
        """Drop the pages that are only this tensor's, where the file is mapped."""
        tensor = self.get(key)
        if self._mapped and tensor.is_contiguous():
            drop_pages(tensor.data_ptr(), tensor.nbytes)


def _load(path: Path) -> Any:
    import torch

    start = _start(path)
    if start.startswith(b"version "):
        raise CheckpointError(f"{path}: a Git LFS pointer, not the file itself. "
                              "Do: run `git lfs pull` there")
    try:
        zipped = start.startswith(ZIP)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except (RuntimeError, EOFError, ValueError, LookupError, OSError, struct.error) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: not a whole torch file of {path.stat().st_size} bytes "
                              f"({first}). Do: download it again (force_download=True)") from error


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(8)
    except FileNotFoundError as error:
        raise FileMissing(f"{path}: no such file. Expected a torch pickle") from error


def _refusal(path: Path, message: str) -> CheckpointError:
    """torch's reasons, told apart: a pickle that wants code, or one that is damaged."""
    if wanted := re.search(r"GLOBAL ([\w.]+)|unrecognized function (.+)", message):
        name = wanted[1] or wanted[2]
        return UnsafePickle(
            f"{path}: the pickle asks for {name!r}, which is code. Nothing of it was executed. "
            "Expected only tensors. Do: take the safetensors file of the model, or, if you trust "
            "the file, save its tensors anew with torch.save(model.state_dict(), ...)")
    detail = re.search(r"WeightsUnpickler error: (.*)", message)
    return CheckpointError(f"{path}: not a readable torch pickle "
                           f"({detail[1].strip() if detail else message.splitlines()[0]}). "
                           "Do: download it again (force_download=True)")


def _tensors(path: Path, loaded: Any) -> dict[str, torch.Tensor]:
    import torch

    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}. Expected a state dict, "
                              "{name: tensor}: save model.state_dict()")
    wrong = [key for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
    nested = [key for key in wrong if isinstance(loaded[key], dict)]
    if nested:
        raise CheckpointError(
            f"{path}: a training checkpoint with {', '.join(map(repr, loaded))}, not a state dict. "
            f"Do: torch.save(torch.load(path)[{nested[0]!r}], 'pytorch_model.bin'), or whichever "
            "of them holds the model's tensors")
    if wrong:
        raise CheckpointError(f"{path}: {', '.join(map(repr, wrong[:5]))} hold no tensors but "
                              f"{type(loaded[wrong[0]]).__name__}. Expected {{name: tensor}}: "
                              "remove them and save the rest")
    return loaded
