"""The safetensors format: equal to the library's both ways, mapped, and strict about damage."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch as peer
import torch

from enfold.errors import CheckpointError, FileMissing
from enfold.files.safetensors import DTYPES, SafetensorsFile, write_safetensors


def every_dtype() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    made = {}
    for n, (name, _) in enumerate(DTYPES.values()):
        raw = torch.randint(0, 2, (3, 8 * (n + 1)), dtype=torch.uint8)
        made[f"t{n}.{name}"] = raw.view(getattr(torch, name))
    return made | {"scalar": torch.tensor(3.5), "empty": torch.empty(0, 4), "ünï": torch.ones(2)}


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def raw_file(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def test_reads_what_the_library_writes(tmp_path: Path) -> None:
    tensors = every_dtype()
    peer.save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    file = SafetensorsFile(tmp_path / "x.safetensors")
    assert file.metadata == {"format": "pt"}
    assert set(file.keys()) == set(tensors)
    for name, tensor in tensors.items():
        found = file.get(name)
        assert (file.dtype(name), file.shape(name)) == (tensor.dtype, tuple(tensor.shape))
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert file.nbytes(name) == tensor.nbytes
        assert bits(found) == bits(tensor)


def test_writes_byte_for_byte_what_the_library_writes(tmp_path: Path) -> None:
    tensors = every_dtype()
    write_safetensors(tmp_path / "ours", tensors, {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == peer.save(tensors, metadata={"format": "pt"})


def test_any_strides(tmp_path: Path) -> None:
    whole = torch.arange(24.0).view(4, 6)
    write_safetensors(tmp_path / "x", {"t": whole.T, "part": whole[1:3, ::2],
                                       "wide": torch.ones(1).expand(5)})
    file = SafetensorsFile(tmp_path / "x")
    assert torch.equal(file.get("t"), whole.T)
    assert torch.equal(file.get("part"), whole[1:3, ::2])
    assert torch.equal(file.get("wide"), torch.ones(5))


def test_tensors_are_mapped_and_writes_stay_private(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": torch.zeros(1000), "b": torch.ones(10)})
    before = path.read_bytes()
    file = SafetensorsFile(path)
    a, again = file.get("a"), file.get("a")
    assert a.data_ptr() == again.data_ptr()  # no copy was made
    assert a.untyped_storage().nbytes() == 4000  # its own storage, not the whole file's
    a += 1
    assert path.read_bytes() == before
    path.unlink()
    del file
    assert a.sum() == 1000  # a tensor outlives the file's name and the reader


def test_unaligned_tensors(tmp_path: Path) -> None:
    header = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
              "b": {"dtype": "F64", "shape": [2], "data_offsets": [1, 17]}}
    data = b"\x07" + torch.tensor([1.5, -2.0], dtype=torch.float64).numpy().tobytes()
    file = SafetensorsFile(raw_file(tmp_path / "x", header, data))
    assert file.get("b").tolist() == [1.5, -2.0]
    assert file.get("b").data_ptr() % 8 == 0


def test_no_metadata(tmp_path: Path) -> None:
    peer.save_file({"a": torch.ones(2)}, tmp_path / "x")
    assert SafetensorsFile(tmp_path / "x").metadata == {}


def entry(dtype: str = "F32", shape: Any = (2,), start: Any = 0, end: Any = 8) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.parametrize(("header", "data", "message"), [
    ({"a": entry()}, b"\0" * 6, "truncated at tensor 'a' (F32 [2]): its bytes are 0 to 8, the file "
                                "has 6 of 8. Do: download or save the file again "
                                "(force_download=True)"),
    ({"a": entry()}, b"\0" * 9, "1 bytes follow the last tensor. Expected none"),
    ({"a": entry(), "b": entry(start=12, end=20)}, b"\0" * 20,
     "a gap of 4 bytes before tensor 'b'. Expected it to start at byte 8"),
    ({"a": entry(), "b": entry(start=4, end=12)}, b"\0" * 12,
     "an overlap of 4 bytes before tensor 'b'"),
    ({"a": entry(shape=(3,))}, b"\0" * 8,
     "tensor 'a' (F32 [3]) needs 12 bytes, its entry gives it 8"),
    ({"a": entry(dtype="F99")}, b"\0" * 8,
     "tensor 'a' has the dtype 'F99'. Expected one of BOOL, "),
    ({"a": {"dtype": "F32", "shape": [2]}}, b"\0" * 8, "tensor 'a' has a bad entry"),
    ({"a": entry(shape=(-2,))}, b"\0" * 8, "tensor 'a' has a bad entry"),
    ({"a": entry(shape=(True, 2))}, b"\0" * 8, "tensor 'a' has a bad entry"),
    ({"a": entry(start="0")}, b"\0" * 8, "tensor 'a' has a bad entry"),
    ({"a": 3}, b"", "tensor 'a' has a bad entry 3"),
    ({"__metadata__": {"a": 1}}, b"", "bad __metadata__ {'a': 1}. Expected an object of strings"),
    ([1], b"", "the header is a JSON list. Expected an object of tensors"),
    (b"{nope}", b"", "the header of 6 bytes is not JSON (Expecting property name"),
    (b"\xff\xfe{}", b"", "the header of 4 bytes is not JSON ('utf-8' codec"),
    (b'{"a":1,"a":2}', b"", "the header names 'a' twice"),
])
def test_damage(tmp_path: Path, header: Any, data: bytes, message: str) -> None:
    path = raw_file(tmp_path / "x.safetensors", header, data)
    with pytest.raises(CheckpointError) as caught:
        SafetensorsFile(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(("content", "message"), [
    (b"", "not a whole safetensors file: 0 bytes, beginning with b''"),
    (b"\x10\0\0", "not a whole safetensors file: 3 bytes"),
    (b"\x10" + b"\0" * 7 + b"{}", "not a whole safetensors file: 10 bytes"),
    (b"<html><head>", "not a whole safetensors file: 12 bytes, beginning with b'<html><h'"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file itself. "
                                                      "Do: run `git lfs pull` there"),
    (b"PK\x03\x04" + b"\0" * 20, "a torch pickle under a safetensors name"),
])
def test_not_safetensors(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        SafetensorsFile(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("cut", range(0, 140, 7))
def test_every_cut_is_noticed(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": torch.ones(4), "b": torch.ones(3)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="x.safetensors"):
        SafetensorsFile(path)


def test_missing_file_and_missing_tensor(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no such file. Expected a safetensors file"):
        SafetensorsFile(tmp_path / "no.safetensors")
    write_safetensors(tmp_path / "x", {"layer.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"no tensor 'layer.weigth' \(nearest: 'layer.weight"):
        SafetensorsFile(tmp_path / "x").get("layer.weigth")


@pytest.mark.parametrize(("tensor", "message"), [
    (lambda: torch.ones(2, device="meta"), "can't save tensor 'a': it is on the meta device"),
    (lambda: torch.ones(2).to_sparse(), "can't save tensor 'a' (float32, torch.sparse_coo)"),
    (lambda: torch.ones(2, dtype=torch.complex128), "can't save tensor 'a' (complex128, torch.str"),
])
def test_what_cannot_be_saved(tmp_path: Path, tensor: Callable[[], torch.Tensor],
                              message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        write_safetensors(tmp_path / "x", {"a": tensor()})
    assert str(caught.value).startswith(message)


def test_foreign_byte_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.byteorder", "big")
    with pytest.raises(NotImplementedError, match="little-endian"):
        SafetensorsFile(tmp_path / "x")


PEAK = """
import os, sys, torch
os.fsync = lambda handle: None  # 300 MB through a slow disk show nothing more
from enfold.files import open_checkpoint, write_checkpoint
def rss(field):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field)) * 1024
torch.ones(1000).sum()
before = rss("VmRSS")
checkpoint = open_checkpoint(sys.argv[1])
tensors = {key: checkpoint.get(key) for key in checkpoint}
opened = rss("VmRSS") - before
total = sum(t.nbytes for t in tensors.values())
[t.sum() for t in tensors.values()]
read = rss("VmHWM") - before
write_checkpoint(sys.argv[1] + ".copy", tensors)
print(total, opened, read, rss("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory(tmp_path: Path, python: Callable[..., Any]) -> None:
    size = 20 << 20
    header = {f"layers.{n}": entry(shape=(1 << 20, 5), start=n * size, end=(n + 1) * size)
              for n in range(15)}
    path = raw_file(tmp_path / "model.safetensors", header)
    os.truncate(path, path.stat().st_size + 15 * size)
    done = python("-c", PEAK, tmp_path / "model.safetensors")
    assert done.returncode == 0, done.stderr
    total, opened, read, saved = map(int, done.stdout.split())
    assert total > 300e6
    assert opened < 0.02 * total  # nothing is read before it is used
    assert read < 1.1 * total
    assert saved < 1.1 * total  # saving adds no second copy
    assert (tmp_path / "model.safetensors.copy/model.safetensors").read_bytes()[:8]
