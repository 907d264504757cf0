"""SentencePiece `.model` files, read without protobuf: records of length-prefixed fields.

    ModelProto      1 pieces*  2 trainer_spec  3 normalizer_spec
    SentencePiece   1 piece  2 score (float)  3 type
    key = number << 3 | wire;  wire 0 varint, 1 eight bytes, 2 length + bytes, 5 four bytes

Format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from enfold.errors import TokenizerError
from enfold.text.convert import charsmap

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE, WORD, CHAR = 1, 2, 3, 4


class Piece(NamedTuple):
    """One entry: its text, its score (a log probability, or minus its BPE rank), its type."""

    text: str
    score: float
    type: int = NORMAL


@dataclass
class Model:
    """What a `.model` file says; `pieces` in id order.  The defaults are the format's."""

    pieces: list[Piece]
    model_type: int = UNIGRAM
    byte_fallback: bool = False
    treat_whitespace_as_suffix: bool = False
    precompiled_charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True

    @property
    def unk_id(self) -> int:
        """The id of the piece that stands for unknown text (a checked model has one)."""
        return next(i for i, piece in enumerate(self.pieces) if piece.type == UNKNOWN)


TRAINER = {3: "model_type", 24: "treat_whitespace_as_suffix", 35: "byte_fallback"}
NORMALIZER = {2: "precompiled_charsmap", 3: "add_dummy_prefix", 4: "remove_extra_whitespaces",
              5: "escape_whitespaces"}


def looks_like_model(path: Path) -> bool:
    """Whether a file opens with a piece record, which no text file does."""
    with path.open("rb") as file:
        return file.read(1) == b"\n"


def read_model(path: Path) -> Model:
    """Read and check a SentencePiece model.  Raises TokenizerError if it is damaged."""
    data = path.read_bytes()
    try:
        model = _parse(data)
        _check(model)
    except (_DamagedError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise TokenizerError(
            f"{path}: not a readable SentencePiece model ({error}; {len(data)} bytes). Expected a "
            "file written by sentencepiece's trainer: download it again, and check that it is not "
            "a Git LFS pointer") from error
    return model


class _DamagedError(ValueError):
    """What is wrong with the bytes; `read_model` adds the file and what to do."""


def _parse(data: bytes) -> Model:
    pieces: list[Piece] = []
    settings: dict[str, object] = {}
    for number, value in _records(data):
        if number == 1:
            pieces.append(_piece(_message(value)))
        elif number in (2, 3):
            names = TRAINER if number == 2 else NORMALIZER
            settings |= {names[key]: setting for key, setting in _records(_message(value))
                         if key in names}
    return Model(pieces, **_typed(settings))  # type: ignore[arg-type]


def _typed(settings: dict[str, object]) -> dict[str, object]:
    """Varints as the field's own type: bool, or int with its sign (two's complement in 64 bits)."""
    kinds = {field.name: field.type for field in fields(Model)}
    typed: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, bytes) != (kinds[name] == "bytes"):
            raise _DamagedError(f"{name} has the wrong wire type")
        if isinstance(value, int):
            value = bool(value) if kinds[name] == "bool" else value - (value >> 63 << 64)
        typed[name] = value
    return typed


def _piece(data: bytes) -> Piece:
    text, score, kind = b"", 0.0, NORMAL
    for number, value in _records(data):
        if number == 1:
            text = _message(value)
        elif number == 2:
            score = struct.unpack("<f", _message(value))[0]
        elif number == 3:
            kind = value if isinstance(value, int) else -1
    return Piece(text.decode(), score, kind)


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _DamagedError("a number stands where text or a record belongs")
    return value


def _records(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field: an int for varints, raw bytes for everything else."""
    at, end = 0, len(data)
    while at < end:
        key, at = (data[at], at + 1) if data[at] < 128 else _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire, -1)
        if wire == 2:
            size, at = (data[at], at + 1) if data[at] < 128 else _varint(data, at)
        if size < 0 or not key >> 3:
            raise _DamagedError(f"no such field or wire type before byte {at}")
        if at + size > end:
            raise _DamagedError(f"a field of {size} bytes at byte {at} runs past the end")
        yield key >> 3, data[at:at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value & (1 << 64) - 1, at
    raise _DamagedError(f"a number before byte {at} has no end")


def _check(model: Model) -> None:
    seen: dict[str, int] = {}
    for index, piece in enumerate(model.pieces):
        if not piece.text or not isfinite(piece.score) or not NORMAL <= piece.type <= BYTE:
            raise _DamagedError(f"piece {index} is {piece}")
        if seen.setdefault(piece.text, index) != index:
            raise _DamagedError(f"pieces {seen[piece.text]} and {index} are both {piece.text!r}")
    if not any(piece.type == UNKNOWN for piece in model.pieces):
        raise _DamagedError("no unknown piece")
    if not UNIGRAM <= model.model_type <= CHAR:
        raise _DamagedError(f"model_type {model.model_type}")
    wrong = charsmap.fault(model.precompiled_charsmap) if model.precompiled_charsmap else None
    if wrong:
        raise _DamagedError(f"its normalisation table: {wrong}")
