"""The text files of older vocabularies: vocab.txt, vocab.json, merges.txt, tiktoken ranks.

Every reader checks what it reads, and its TokenizerError names the file, the line and what to do.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from enfold.errors import TokenizerError

Merges = list[tuple[str, str]]


def find(files: Mapping[str, Path], *names: str, why: str) -> Path:
    """The first of `names` that is in the folder.  Raises TokenizerError saying what is missing."""
    for name in names:
        if name in files:
            return files[name]
    raise TokenizerError(f"{why} needs {' or '.join(names)}, and the folder has only "
                         f"{', '.join(sorted(files)) or 'no files'}. Download the missing file "
                         "from where the checkpoint came from")


def read_text(path: Path) -> str:
    """A UTF-8 file as one string, line ends as they are."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). "
                             "Expected a vocabulary file: download it again") from error


def read_dict(path: Path) -> dict[str, Any]:
    """A JSON object."""
    text = read_text(path)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise TokenizerError(f"{path}: broken JSON ({error}). Download the file again, and check "
                             "that it is not a Git LFS pointer") from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{path}: holds a JSON {type(found).__name__}, expected an object")
    return found


def read_vocab_json(path: Path) -> dict[str, int]:
    """`{token: id}`, each id used once."""
    vocab = read_dict(path)
    owner: dict[int, str] = {}
    for token, number in vocab.items():
        if type(number) is not int or number < 0:
            raise TokenizerError(f"{path}: token {token!r} has the id {number!r}, expected a "
                                 "number from 0 up. This is not a vocab.json")
        if owner.setdefault(number, token) != token:
            raise TokenizerError(f"{path}: tokens {owner[number]!r} and {token!r} share the id "
                                 f"{number}, expected one token for each id. Repair the file")
    return vocab


def read_vocab_txt(path: Path) -> dict[str, int]:
    """One token on a line; its id is the line's number, from 0.  Of a repeated token, the last."""
    lines = read_text(path).split("\n")
    tokens = [line.removesuffix("\r") for line in (lines[:-1] if not lines[-1] else lines)]
    if not tokens:
        raise TokenizerError(f"{path}: empty, expected one token on each line. Download it again")
    return {token: number for number, token in enumerate(tokens)}


def read_merges(path: Path, vocab: Mapping[str, int]) -> Merges:
    """The pairs of a merges.txt in order, checked against the vocabulary.

    A first line `#version: ...` is a header.
    """
    merges: Merges = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        pair = line.strip(" \r").split(" ")
        if len(pair) != 2:
            raise TokenizerError(f"{path}, line {number}: {line!r} has {len(pair)} parts, expected "
                                 "two tokens separated by a space. Download the file again")
        for token in (*pair, "".join(pair)):
            if token not in vocab:
                raise TokenizerError(f"{path}, line {number}: {token!r} of the merge {line!r} is "
                                     "not in vocab.json. Take both files from the same checkpoint")
        merges.append((pair[0], pair[1]))
    return merges


def read_ranks(path: Path) -> dict[bytes, int]:
    """A tiktoken file: on each line the token in base64, a space, its rank, which is its id."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line:
            continue
        parts = line.split()
        try:
            token, rank = b64decode(parts[0], validate=True), int(parts[1])
        except (Base64Error, ValueError, IndexError) as error:
            raise TokenizerError(
                f"{path}, line {number}: {line[:60]!r} is not a token in base64 and its rank. "
                "Expected a tiktoken file: download it again") from error
        if not token or rank < 0 or token in ranks:
            raise TokenizerError(f"{path}, line {number}: token {token!r} with rank {rank} is "
                                 "empty, negative or there twice. Download the file again")
        ranks[token] = rank
    return ranks


def merges_of(pieces: Iterable[str]) -> Merges:
    """The merges of pieces that are given best first: every split of each into two other pieces.

    A BPE that joins the best-scored neighbours and one that follows this list give the same pieces.
    """
    ordered = list(pieces)
    known = set(ordered)
    return [(piece[:cut], piece[cut:]) for piece in ordered for cut in range(1, len(piece))
            if piece[:cut] in known and piece[cut:] in known]
