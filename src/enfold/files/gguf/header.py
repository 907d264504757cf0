"""The header of a GGUF file: counts, metadata, and where each tensor is.  Nothing is trusted.

    "GGUF" | u32 version | u64 tensors | u64 values
    values:   text key | u32 type | the value        text = u64 length, UTF-8
    tensors:  text name | u32 dimensions | u64 each, the fastest first | u32 type | u64 offset
    padding to the alignment, then the tensors, each at its offset from here

Versions 2 and 3 are the same but that 3 may be big-endian.  Every count and length is checked
against what is left of the file before anything is made of that size.
"""

from __future__ import annotations

import math
import mmap
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from enfold.errors import CheckpointError
from enfold.files.gguf.kinds import ALIGNMENT, BOOL, BY_NUMBER, LIST, NUMBERS, SIZES, TEXT, Kind

AGAIN = "Do: download or convert the file again (force_download=True)"
MOST_DIMENSIONS, DEEPEST = 4, 4  # ggml's own limit of dimensions; lists in lists
LEAST_VALUE, LEAST_TENSOR = 8 + 4 + 1, 8 + 4 + 4 + 8  # bytes that one takes in the header


class Entry(NamedTuple):
    """One tensor: its kind, its shape as torch counts it, its bytes [start, end) in the file."""

    kind: Kind
    shape: tuple[int, ...]
    start: int
    end: int


class Header(NamedTuple):
    """All that a file says before its tensors' bytes."""

    version: int
    big_endian: bool
    metadata: dict[str, Any]
    entries: dict[str, Entry]


def read_header(path: Path, data: mmap.mmap | bytes) -> Header:
    """Parse and check a header; CheckpointError names the file and what is wrong."""
    cursor, version = _opened(path, data)
    tensors, values = cursor.number("Q"), cursor.number("Q")
    cursor.expect(tensors * LEAST_TENSOR + values * LEAST_VALUE,
                  f"{tensors:,} tensors and {values:,} metadata values")
    metadata: dict[str, Any] = {}
    for _ in range(values):
        key = cursor.text("a metadata key")
        if key in metadata:
            raise cursor.error(f"the metadata names {key!r} twice")
        metadata[key] = cursor.value(cursor.number("I"), key)
    infos = [cursor.tensor() for _ in range(tensors)]
    data_start = _padded(cursor.at, alignment_of(path, metadata))
    entries = _placed(cursor, infos, data_start, alignment_of(path, metadata))
    return Header(version, cursor.order == ">", metadata, entries)


def alignment_of(path: Path, metadata: dict[str, Any]) -> int:
    """What tensors' offsets are multiples of."""
    found = metadata.get("general.alignment", ALIGNMENT)
    if type(found) is not int or not 0 < found <= 1 << 31 or found & (found - 1):
        raise CheckpointError(f"{path}: general.alignment is {found!r:.80}, expected a power of "
                              f"two. {AGAIN}")
    return found


class _Cursor:
    """Reads forward; whatever would pass the end of the file raises."""

    def __init__(self, path: Path, data: mmap.mmap | bytes, order: str) -> None:
        self.path, self.data, self.order, self.at = path, data, order, 8
        self.size = len(data)

    def error(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}. {AGAIN}")

    def expect(self, count: int, what: str) -> None:
        """Raise unless the file has `count` more bytes."""
        if count > self.size - self.at:
            raise self.error(f"cut short or damaged at byte {self.at:,}: {what} would need "
                             f"{count:,} bytes, the file has {self.size - self.at:,} left")

    def number(self, letter: str) -> Any:
        form = self.order + letter
        size = struct.calcsize(form)
        self.expect(size, "a number")
        self.at += size
        return struct.unpack_from(form, self.data, self.at - size)[0]

    def text(self, what: str) -> str:
        length = self.number("Q")
        self.expect(length, f"{what} of {length:,} bytes")
        self.at += length
        try:
            return self.data[self.at - length:self.at].decode()
        except UnicodeDecodeError as error:
            raise self.error(f"{what} at byte {self.at - length:,} is not UTF-8 "
                             f"({error.reason})") from error

    def value(self, kind: int, key: str, depth: int = 0) -> Any:
        if kind == TEXT:
            return self.text(f"the value of {key!r:.100}")
        if kind == LIST:
            return self.several(key, depth)
        if kind not in NUMBERS:
            raise self.error(f"the value of {key!r:.100} has the type {kind}, expected 0 to 12")
        return self._numbers(kind, 1, key)[0]

    def several(self, key: str, depth: int) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        least = {TEXT: 8, LIST: 12}.get(kind) or SIZES.get(kind, 1)
        self.expect(count * least, f"{key!r:.100}, a list of {count:,} values,")
        if kind in NUMBERS:
            return self._numbers(kind, count, key)
        if kind == TEXT:
            return self._texts(count, key)
        if kind == LIST and depth == DEEPEST:
            raise self.error(f"{key!r:.100} has lists in lists, {depth} deep")
        return [self.value(kind, key, depth + 1) for _ in range(count)]

    def _numbers(self, kind: int, count: int, key: str) -> list[Any]:
        size = SIZES[kind] * count
        self.expect(size, f"{key!r:.100}")
        letter = "B" if kind == BOOL else NUMBERS[kind]
        found = struct.unpack_from(f"{self.order}{count}{letter}", self.data, self.at)
        self.at += size
        if kind != BOOL:
            return list(found)
        if any(value > 1 for value in found):
            raise self.error(f"{key!r:.100} holds {max(found)}, expected a boolean, 0 or 1")
        return [bool(value) for value in found]

    def _texts(self, count: int, key: str) -> list[Any]:
        """A list of texts, such as a vocabulary: a few hundred thousand of them."""
        data, at, size, found = self.data, self.at, self.size, []
        length_at = struct.Struct(f"{self.order}Q").unpack_from
        for index in range(count):
            end = at + 8 + (length_at(data, at)[0] if at + 8 <= size else size)
            if end > size:
                raise self.error(f"cut short or damaged at byte {at:,}: text {index:,} of "
                                 f"{key!r:.100} passes the end of the file")
            found.append(data[at + 8:end])
            at = end
        self.at = at
        try:
            return [text.decode() for text in found]
        except UnicodeDecodeError as error:
            raise self.error(f"a text of {key!r:.100} is not UTF-8 ({error.reason})") from error

    def tensor(self) -> tuple[str, Kind, tuple[int, ...], int]:
        """(name, kind, shape, offset) of one tensor."""
        name, dimensions = self.text("the name of a tensor"), self.number("I")
        if dimensions > MOST_DIMENSIONS:
            raise self.error(f"tensor {name!r:.100} has {dimensions} dimensions, expected at most "
                             f"{MOST_DIMENSIONS}")
        shape = tuple(self.number("Q") for _ in range(dimensions))[::-1]
        number, offset = self.number("I"), self.number("Q")
        if number not in BY_NUMBER:
            raise self.error(f"tensor {name!r:.100} has the type {number}, which is none of "
                             f"{', '.join(kind.name for kind in BY_NUMBER.values())}")
        kind = BY_NUMBER[number]
        if (shape[-1] if shape else 1) % kind.block:
            raise self.error(f"tensor {name!r:.100} has the shape {list(shape)}, but {kind.name} "
                             f"wants rows of a multiple of {kind.block}")
        return name, kind, shape, offset


def _opened(path: Path, data: mmap.mmap | bytes) -> tuple[_Cursor, int]:
    """A cursor behind magic and version, in the file's byte order."""
    start = data[:24]
    if start.startswith(b"version "):
        raise CheckpointError(f"{path}: a Git LFS pointer, not the file itself. Do: run `git lfs "
                              "pull` there")
    if len(start) < 24 or start[:4] != b"GGUF":
        old = start[:4] in (b"lmgg", b"tjgg", b"fmgg", b"algg")
        why = "the format before GGUF: convert the model again" if old else AGAIN[4:]
        raise CheckpointError(f"{path}: not a GGUF file: {len(data)} bytes, beginning with "
                              f"{start[:8]!r}. Expected 'GGUF'. Do: {why}")
    order = "<" if data[4:6] != b"\0\0" else ">"
    version: int = struct.unpack_from(f"{order}I", data, 4)[0]
    if version not in (2, 3):
        raise CheckpointError(f"{path}: GGUF version {version}, expected 2 or 3. Do: convert the "
                              "model again with a current llama.cpp")
    return _Cursor(path, data, order), version


def _placed(cursor: _Cursor, infos: list[tuple[str, Kind, tuple[int, ...], int]], data: int,
            alignment: int) -> dict[str, Entry]:
    """The tensors by name, if each is inside the file, aligned and none lies on another."""
    entries: dict[str, Entry] = {}
    for name, kind, shape, offset in infos:
        size = math.prod(shape) // kind.block * kind.size
        start = data + offset
        if name in entries:
            raise cursor.error(f"two tensors are called {name!r:.100}")
        if offset % alignment:
            raise cursor.error(f"tensor {name!r:.100} is at offset {offset:,}, expected a multiple "
                               f"of {alignment}")
        if start + size > cursor.size:
            raise cursor.error(
                f"cut short at tensor {name!r:.100} ({kind.name} {list(shape)}): its bytes are "
                f"{start:,} to {start + size:,}, the file has {cursor.size:,}")
        entries[name] = Entry(kind, shape, start, start + size)
    ordered = sorted(entries.items(), key=lambda item: item[1].start)
    for (name, entry), (other, following) in pairwise(ordered):
        if following.start < entry.end and following.end > following.start:
            raise cursor.error(f"tensors {name!r:.100} and {other!r:.100} lie on each other: the "
                               f"first ends at byte {entry.end:,}, the second starts at "
                               f"{following.start:,}")
    return entries


def _padded(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment
