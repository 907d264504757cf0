"""pytorch_model.bin: zip and legacy files are read, code in them is not run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.errors import CheckpointError, FileMissing, UnsafePickle
from enfold.files.pickles import PickleFile


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_reads(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    state = OrderedDict(a=torch.randn(3, 4), b=torch.ones(2, dtype=torch.bfloat16))
    state["tied"] = state["a"]
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    file = PickleFile(path)
    assert file.keys() == ["a", "b", "tied"]
    assert file.shape("a") == (3, 4)
    assert file.dtype("b") == torch.bfloat16
    assert file.nbytes("a") == 48
    assert all(torch.equal(file.get(key), state[key]) for key in state)
    before = path.read_bytes()
    file.get("a").zero_()
    assert path.read_bytes() == before


def test_real_legacy_file(shared_data: Path) -> None:
    file = PickleFile(shared_data / "models/rxnmapper_albert/pytorch_model.bin")
    name = "albert.embeddings.word_embeddings.weight"
    assert file.shape(name)[0] > 100
    assert file.get(name).isfinite().all()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_not_run(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "pytorch_model.bin", tmp_path / "made"
    torch.save({"a": torch.ones(1), "b": Bomb(target)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafePickle) as caught:
        PickleFile(path)
    assert not target.exists()
    module = os.mkdir.__module__
    assert str(caught.value) == (
        f"{path}: the pickle asks for '{module}.mkdir', which is code. Nothing of it was executed. "
        "Expected only tensors. Do: take the safetensors file of the model, or, if you trust the "
        "file, save its tensors anew with torch.save(model.state_dict(), ...)")


def test_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.bin")
    with pytest.raises(UnsafePickle, match=r"asks for 'torch.nn.modules.linear.Linear'"):
        PickleFile(tmp_path / "x.bin")


def test_real_training_arguments(shared_data: Path) -> None:
    with pytest.raises(UnsafePickle, match="asks for 'argparse.Namespace'"):
        PickleFile(shared_data / "models/rxnmapper_albert/training_args.bin")


@pytest.mark.parametrize(("value", "message"), [
    ([torch.ones(1)], "holds a list. Expected a state dict"),
    ({"model": {"a": torch.ones(1)}, "epoch": 3}, "a training checkpoint with 'model', 'epoch', "
     "not a state dict. Do: torch.save(torch.load(path)['model'], 'pytorch_model.bin')"),
    ({"a": torch.ones(1), "epoch": 3}, "'epoch' hold no tensors but int. Expected {name: tensor}"),
])
def test_not_a_state_dict(tmp_path: Path, value: Any, message: str) -> None:
    torch.save(value, tmp_path / "x.bin")
    with pytest.raises(CheckpointError) as caught:
        PickleFile(tmp_path / "x.bin")
    assert str(caught.value).startswith(f"{tmp_path / 'x.bin'}: {message}")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"PK\x03\x04junk", b"<html>", b"plain text",
                                     pickle.dumps({"a": 1})])
def test_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        PickleFile(path)
    assert not isinstance(caught.value, UnsafePickle)
    assert str(caught.value).startswith(f"{path}: not a")
    assert "download it again (force_download=True)" in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "x.bin"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[:int(part * len(whole))])
        with pytest.raises(CheckpointError, match=r"x.bin: not a"):
            PickleFile(path)


def test_pointer_missing_file_and_tensor(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(CheckpointError, match="a Git LFS pointer.*git lfs pull"):
        PickleFile(tmp_path / "x.bin")
    with pytest.raises(FileMissing, match="no such file. Expected a torch pickle"):
        PickleFile(tmp_path / "y.bin")
    torch.save({"weight": torch.ones(1)}, tmp_path / "z.bin")
    with pytest.raises(CheckpointError, match=r"no tensor 'weigth' \(nearest: 'weight'\)"):
        PickleFile(tmp_path / "z.bin").get("weigth")
