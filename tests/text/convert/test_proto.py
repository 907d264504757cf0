"""The reader of .model files: what protobuf reads, or a TokenizerError, whatever the bytes are."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.errors import TokenizerError
from enfold.text.convert import build
from enfold.text.convert.proto import BPE, Piece, looks_like_model, read_model

MODELS = [
    "models/stories260K/tok512.model", "tokenizers/t5/spiece.model", "torchtune/m.model",
    "tokenizers/barthez/sentencepiece.bpe.model", "tokenizers/mistral/tokenizer.model.v1",
    "transformers_fixtures/test_sentencepiece_with_bytefallback.model"]
SMALL = "models/stories260K/tok512.model"


@pytest.mark.parametrize("name", MODELS)
def test_reads_what_protobuf_reads(shared_data: Path, name: str) -> None:
    schema = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    want = schema.ModelProto.FromString((shared_data / name).read_bytes())
    got = read_model(shared_data / name)
    assert got.pieces == [(piece.piece, piece.score, piece.type) for piece in want.pieces]
    assert got.pieces[got.unk_id].type == 2
    for field in ("model_type", "byte_fallback", "treat_whitespace_as_suffix"):
        assert getattr(got, field) == getattr(want.trainer_spec, field)
    for field in ("precompiled_charsmap", "add_dummy_prefix", "remove_extra_whitespaces",
                  "escape_whitespaces"):
        assert getattr(got, field) == getattr(want.normalizer_spec, field)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def record(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def piece(text: str, kind: int = 1, score: float = 0.0) -> bytes:
    body = record(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind)
    return record(1, body)


UNK = piece("<unk>", 2)
GOOD = UNK + piece("a", score=-1.0) + record(2, b"\x18\x02")
CHARSMAP = struct.pack("<I", 1024) + struct.pack("<256I", *[0] * 256)


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    return path


def test_small_model(tmp_path: Path) -> None:
    model = read_model(written(tmp_path, GOOD))
    assert model.pieces == [Piece("<unk>", 0.0, 2), Piece("a", -1.0, 1)]
    assert model.model_type == BPE
    assert model.add_dummy_prefix
    assert looks_like_model(tmp_path / "tokenizer.model")


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "no unknown piece"),
    (GOOD[:-1], "runs past the end"),
    (UNK[:5], "runs past the end"),
    (b"version https://git-lfs.github.com/spec/v1\n", "no such field or wire type"),
    (b"\x0b\x00", "no such field or wire type"),
    (b"\x08" + b"\xff" * 11, "has no end"),
    (b"\x08\x01", "a number stands where"),
    (UNK + record(1, record(1, b"\xff")), "utf-8"),
    (UNK + record(1, b"\x15\x00\x00\x00\x00"), "piece 1 is"),
    (UNK + piece("a", 9), "piece 1 is"),
    (UNK + piece("a", score=float("nan")), "piece 1 is"),
    (UNK + piece("a") + piece("a"), "pieces 1 and 2 are both 'a'"),
    (UNK + record(2, b"\x18\x07"), "model_type 7"),
    (UNK + record(2, record(3, b"x")), "model_type has the wrong wire type"),
    (UNK + record(3, record(2, CHARSMAP)), "table: it is cut off"),
    (UNK + record(3, record(2, CHARSMAP + b"\xff\x00")), "not UTF-8"),
    (UNK + record(3, record(2, CHARSMAP + b"ab")), "no end"),
    (UNK + record(3, record(2, CHARSMAP[:-4] + b"\x00\xff\xff\x7f" + b"a\0")), "points outside"),
    (UNK + record(3, record(2, CHARSMAP[:-4] + b"\x00\x01\x00\x00" + b"\0")), "value outside"),
])
def test_damage_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(TokenizerError) as caught:
        read_model(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert "download it again" in str(caught.value)


FUZZ = settings(max_examples=150, deadline=None,
                suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    _survives(tmp_path, data)


@FUZZ
@given(cuts=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
       end=st.integers(0, 10**6))
def test_any_damage(tmp_path: Path, shared_data: Path, cuts: list[tuple[int, int]],
                    end: int) -> None:
    data = bytearray((shared_data / SMALL).read_bytes())
    for place, byte in cuts:
        data[place % len(data)] = byte
    _survives(tmp_path, bytes(data[: max(end % (2 * len(data)), 1)]))


def _survives(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    try:
        engine = build({path.name: path}, "LlamaTokenizer", {})
    except (TokenizerError, NotImplementedError):
        return
    engine.encode("Héllo ﬁ \n 한")
