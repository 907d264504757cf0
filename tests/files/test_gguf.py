"""GGUF files: read as the gguf package reads them, written so that it does, damage refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.errors import CheckpointError, FileMissing
from enfold.files import HubOptions
from enfold.files.gguf import GGUFFile, Typed, gguf_path, open_shards, write_gguf

METADATA = {"general.architecture": "llama", "flag": True, "count": 7, "least": -3, "long": 1 << 40,
            "share": 0.5, "names": ["a", "bé", ""], "numbers": [1, -2, 3], "floats": [0.5, 1.5],
            "byte": Typed(0, 200), "precise": Typed(12, 0.1)}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with some of everything."""
    tensors = {"a": torch.arange(6.0).view(2, 3), "b.weight": torch.randn(4, 64),
               "c": torch.randn(3, 32).bfloat16(), "scalar": torch.tensor(2.5)}
    kinds = {"a": "F32", "b.weight": "Q8_0", "c": "BF16", "scalar": "F16"}
    write_gguf(tmp_path / "small.gguf", METADATA, tensors, kinds)
    return tmp_path / "small.gguf"


def oracle(path: Path) -> Any:
    return pytest.importorskip("gguf").GGUFReader(path)


def test_a_written_file_is_what_the_gguf_package_reads(small: Path) -> None:
    reader = oracle(small)
    found = {key: field.contents() for key, field in reader.fields.items()
             if not key.startswith("GGUF.")}
    expected = {key: value.value if isinstance(value, Typed) else value
                for key, value in METADATA.items()}
    assert found == expected
    ours = GGUFFile(small)
    assert ours.metadata == expected
    assert ours.version == 3
    assert not ours.big_endian
    for tensor in reader.tensors:
        assert tuple(tensor.shape.tolist()[::-1]) == ours.shape(tensor.name)
        assert tensor.tensor_type.name == ours.kind(tensor.name)
        assert tensor.data.tobytes() == ours.bytes(tensor.name)
    assert ours.get("a").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert ours.get("scalar").item() == 2.5
    assert ours.dtype("c") == torch.bfloat16
    assert ours.dtype("b.weight") == torch.float32


@pytest.mark.parametrize("big", [False, True])
def test_files_of_the_gguf_package_are_read_in_either_byte_order(tmp_path: Path, big: bool) -> None:
    gguf = pytest.importorskip("gguf")
    order = gguf.GGUFEndian.BIG if big else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama", endianess=order)
    writer.add_custom_alignment(64)
    writer.add_array("tokenizer.ggml.tokens", ["x", "ÿ"])
    writer.add_array("tokenizer.ggml.scores", [0.5, -1.0])
    writer.add_uint64("big", 1 << 50)
    values = {"f": np.arange(7, dtype=np.float32), "h": np.ones((3, 5), np.float16) * 1.5,
              "d": np.full((2, 2), 0.1), "i": np.array([[-5, 6]], np.int32),
              "b": np.array([-1, 2, 3], np.int8), "w": np.array([1 << 40], np.int64)}
    for name, value in values.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GGUFFile(tmp_path / "x.gguf")
    assert file.big_endian == big
    assert file.metadata["tokenizer.ggml.tokens"] == ["x", "ÿ"]
    assert file.metadata["tokenizer.ggml.scores"] == [0.5, -1.0]
    assert file.metadata["big"] == 1 << 50
    for name, value in values.items():
        assert np.array_equal(file.get(name).numpy(), value), name


def test_blocks_of_a_big_endian_file(small: Path, tmp_path: Path) -> None:
    """Of Q8_0 only the scales are turned."""
    data = bytearray(header(1, 0, order=">") + tensor("q", [32], 8, order=">"))
    data += b"\0" * (-len(data) % 32)
    block = bytearray(np.float16(0.5).tobytes()[::-1] + bytes(range(32)))
    (tmp_path / "big.gguf").write_bytes(data + block)
    assert GGUFFile(tmp_path / "big.gguf").get("q").tolist() == [n / 2 for n in range(32)]


def header(tensors: int = 0, values: int = 0, version: int = 3, order: str = "<",
           magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack(f"{order}IQQ", version, tensors, values)


def text(value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}Q", len(value)) + value


def tensor(name: str, sizes: list[int], kind: int = 0, offset: int = 0, order: str = "<") -> bytes:
    return text(name.encode(), order) + struct.pack(f"{order}I{len(sizes)}QIQ", len(sizes), *sizes,
                                                    kind, offset)


def value(key: bytes, kind: int, data: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + data


PAD = b"\0" * 64
DAMAGED = {
    "not a GGUF file": b"nonsense" * 8,
    "not a GGUF file: 3 bytes": b"GGU",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n",
    "the format before GGUF": b"tjgg" + PAD,
    "GGUF version 1,": header(version=1),
    "GGUF version 9,": header(version=9),
    "1,152,921,504,606,846,976 tensors": header(1 << 60),
    "4,294,967,296 metadata values": header(0, 1 << 32) + PAD,
    "a metadata key of 1,099,511,627,776 bytes": header(0, 1) + struct.pack("<Q", 1 << 40) + PAD,
    "twice": header(0, 2) + value(b"k", 0, b"\1") * 2,
    "has the type 13": header(0, 1) + value(b"k", 13, PAD),
    "expected a boolean": header(0, 1) + value(b"k", 7, b"\5") + PAD,
    "is not UTF-8": header(0, 1) + value(b"k", 8, text(b"\xff\xfe")),
    "a text of 'k' is not UTF-8": header(0, 1) + value(b"k", 9, struct.pack("<IQ", 8, 1)
                                                      + text(b"\xff")),
    "a list of 1,125,899,906,842,624 values": header(0, 1) + value(
        b"k", 9, struct.pack("<IQ", 5, 1 << 50)) + PAD,
    "text 1 of 'k' passes the end": header(0, 1) + value(
        b"k", 9, struct.pack("<IQ", 8, 2) + text(b"abc") + struct.pack("<Q", 1 << 30)),
    "has lists in lists": header(0, 1) + value(
        b"k", 9, struct.pack("<IQ", 9, 1) * 6 + struct.pack("<IQ", 0, 0)) + PAD,
    "general.alignment is 24": header(0, 1) + value(b"general.alignment", 4,
                                                    struct.pack("<I", 24)),
    "general.alignment is 'x'": header(0, 1) + value(b"general.alignment", 8, text(b"x")),
    "expected at most 4": header(1) + tensor("t", [1] * 5) + PAD,
    "tensor 't' has the type 99": header(1) + tensor("t", [4], 99) + PAD,
    "wants rows of a multiple of 32": header(1) + tensor("t", [33], 8) + PAD,
    "two tensors are called 't'": header(2) + tensor("t", [1]) + tensor("t", [1], 0, 32) + PAD * 4,
    "at offset 4, expected a multiple of 32": header(1) + tensor("t", [1], 0, 4) + PAD * 2,
    "cut short at tensor 't'": header(1) + tensor("t", [1 << 40, 1 << 20]) + PAD,
    "lie on each other": header(2) + tensor("t", [16]) + tensor("u", [16], 0, 32) + PAD * 4,
    "a number would need": header(0, 1) + text(b"k" * 20) + b"\0\0",
}


@pytest.mark.parametrize("message", DAMAGED)
def test_damage_is_named(tmp_path: Path, message: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(DAMAGED[message])
    with pytest.raises(CheckpointError) as caught:
        GGUFFile(path)
    assert message in str(caught.value)
    assert "bad.gguf" in str(caught.value)


def test_every_truncation_is_refused(small: Path, tmp_path: Path) -> None:
    whole, cut = small.read_bytes(), tmp_path / "cut.gguf"
    last = max(entry.end for entry in GGUFFile(small).entries.values())
    for length in [*range(0, 700, 7), *range(700, last, 97), last - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            GGUFFile(cut)


@settings(max_examples=1000, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.binary(min_size=1, max_size=8)),
                min_size=1, max_size=4))
def test_a_mutated_file_is_read_or_refused(small: Path, tmp_path: Path, edits: list[Any]) -> None:
    """Bytes replaced, put in or taken out anywhere in the header: never another exception."""
    data, end = bytearray(small.read_bytes()), 900
    for where, how, new in edits:
        at = int(where * min(len(data) - 1, end))
        if how == 0:
            del data[at:at + len(new)]
        elif how == 1:
            data[at:at] = new
        else:
            data[at:at + len(new)] = new
    path = tmp_path / "mutated.gguf"
    path.write_bytes(data)
    try:
        file = GGUFFile(path)
        for key in file.keys():  # noqa: SIM118 - not a dict
            assert file.get(key).shape == file.shape(key)
    except (CheckpointError, NotImplementedError):
        pass


def test_a_missing_file_and_a_missing_tensor(tmp_path: Path, small: Path) -> None:
    with pytest.raises(FileMissing, match="no such file"):
        GGUFFile(tmp_path / "none.gguf")
    with pytest.raises(CheckpointError, match=r"no tensor 'b\.weigth' \(nearest: 'b\.weight'\)"):
        GGUFFile(small).get("b.weigth")


def test_what_is_read_belongs_to_the_process(small: Path) -> None:
    before, file = small.read_bytes(), GGUFFile(small)
    file.get("a").add_(1)
    assert small.read_bytes() == before
    file.fetch("a")
    file.release("b.weight")
    assert file.get("b.weight").shape == (4, 64)


@pytest.mark.parametrize(("metadata", "name", "shape", "kind", "message"), [
    ({"k": {}}, "t", (2,), "F32", "metadata 'k' is a dict"),
    ({"k": [1, "x"]}, "t", (2,), "F32", "several kinds"),
    ({}, "t" * 64, (2,), "F32", "at most 63 bytes"),
    ({}, "t", (1, 1, 1, 1, 1), "F32", "4 dimensions"),
    ({}, "t", (2, 33), "Q8_0", "multiple of 32"),
    ({}, "t", (2,), "Q9", "no GGUF tensor type 'Q9'"),
])
def test_what_can_not_be_written(tmp_path: Path, metadata: dict[str, Any], name: str,
                                 shape: tuple[int, ...], kind: str, message: str) -> None:
    path = tmp_path / "x.gguf"
    with pytest.raises(CheckpointError, match=message):
        write_gguf(path, metadata, {name: torch.ones(shape)}, {name: kind})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "kind", "message"), [
    (1e6, "F16", r"values that F16 can't hold: they go up to 1e\+06"),
    (float("nan"), "Q8_0", "not finite"),
])
def test_values_that_a_type_can_not_hold(tmp_path: Path, number: float, kind: str,
                                         message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        write_gguf(tmp_path / "x.gguf", {}, {"t": torch.full((1, 32), number)}, {"t": kind})
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_without_values_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="on the meta device"):
        write_gguf(tmp_path / "x.gguf", {}, {"t": torch.empty(2, device="meta")}, {"t": "F32"})


def test_split_files_are_one(tmp_path: Path) -> None:
    names = [f"m-{n:05d}-of-00002.gguf" for n in (1, 2)]
    for n, name in enumerate(names):
        write_gguf(tmp_path / name, {"split.count": 2, "split.no": n},
                   {f"t{n}": torch.ones(2)}, {f"t{n}": "F32"})
    files = open_shards(tmp_path / names[0])
    assert [file.keys() for file in files] == [["t0"], ["t1"]]
    (tmp_path / names[1]).unlink()
    with pytest.raises(FileMissing, match="m-00002-of-00002.gguf is missing"):
        open_shards(tmp_path / names[0])
    (tmp_path / names[0]).rename(tmp_path / "renamed.gguf")
    with pytest.raises(CheckpointError, match="not named as such"):
        open_shards(tmp_path / "renamed.gguf")


def test_which_file_is_meant(small: Path, tmp_path: Path) -> None:
    options = HubOptions()
    assert gguf_path(small, None, options) == small
    assert gguf_path(tmp_path, "small.gguf", options) == small
    assert gguf_path("org/model", small, options) == small
    assert gguf_path(tmp_path, None, options) is None
    with pytest.raises(FileMissing, match=r"no file 'smal\.gguf' \(nearest: 'small\.gguf'\)"):
        gguf_path(tmp_path, "smal.gguf", options)
