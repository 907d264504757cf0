"""Which files belong to which split, from patterns that are given or from the files' names.

    data/train-00000-of-00002.parquet       split "train", and any other name
    train/a.csv, my-test-set/a.csv          by a folder named after a split
    train.csv, my_test.csv, dev_0.csv       by a file named after one
    anything else                           all is "train"

The first of these that finds a file is taken.  Hidden files, folders beginning with `__`, and
files about the data set (README.md, ...) are left out unless a pattern names them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from enfold.data.sources import walk
from enfold.data.sources.opening import is_url
from enfold.errors import DataError, FileMissing
from enfold.lazy import require

SHARDS = "data/{split}-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*"
SPLITS = {"train": ("train", "training"), "validation": ("validation", "valid", "dev", "val"),
          "test": ("test", "testing", "eval", "evaluation")}
SEPARATORS = "[-._ 0-9]"
IN_FOLDER = ("**/{word}/**", "**/{word}{sep}*/**", "**/*{sep}{word}/**",
             "**/*{sep}{word}{sep}*/**")
IN_FILE = ("**/{word}{sep}*", "**/*{sep}{word}{sep}*")
IGNORED = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json",
           "dummy_data.zip", "dataset_dict.json"}
COMMIT = re.compile(r"datasets/[^/@]+/[^/@]+@[0-9a-f]{40}(?=/|$)")
_commits: dict[str, list[str]] = {}
SPLIT_NAME = re.compile(r"\w+(\.\w+)*")


def _by_words(forms: Sequence[str]) -> dict[str, list[str]]:
    return {split: [form.format(word=word, sep=SEPARATORS) for word in words for form in forms]
            for split, words in SPLITS.items()}


DEFAULTS = (_by_words(IN_FOLDER), _by_words(IN_FILE), {"train": ["**"]})


def sanitize_patterns(patterns: Any) -> dict[str, list[str]]:
    """`data_files` in any of its forms as {split: patterns}; one list without splits is "train".

    A string, a list of them, {split: one or many}, [{"split": .., "path": one or many}, ..].
    Raises DataError.
    """
    if isinstance(patterns, Mapping):
        return {str(split): _listed(value) for split, value in patterns.items()}
    many = _listed(patterns)
    if not any(isinstance(one, Mapping) for one in many):
        return {"train": many}
    for one in many:
        if not (isinstance(one, Mapping) and one.keys() == {"split", "path"}
                and isinstance(one["path"], str | list)):
            raise DataError(f"data_files: an entry is {one!r}. Expected "
                            f"{{'split': name, 'path': a pattern or a list of them}}")
    splits = [str(one["split"]) for one in many]
    if len(set(splits)) < len(splits):
        raise DataError(f"data_files: some splits are there twice: {splits}. Do: give one entry a "
                        f"list of paths")
    return {split: _listed(one["path"]) for split, one in zip(splits, many, strict=True)}


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str | os.PathLike):
        return [os.fspath(value)]
    return [os.fspath(one) if isinstance(one, os.PathLike) else one for one in value]


def get_data_patterns(base_path: str, storage: Mapping[str, Any] | None = None) -> dict[
        str, list[str]]:
    """The patterns that give each split's files below a folder or URL, by the rules above.

    Raises FileMissing where there are no files, DataError for a split name that is none.
    """
    names = _listing(base_path, storage or {})
    if shards := [name for name in names if _matches(SHARDS.format(split="*"), name)]:
        return sharded(PurePath(name).name for name in shards)
    for patterns in DEFAULTS:
        found = {split: forms for split, forms in patterns.items()
                 if any(_matches(form, name) for form in forms for name in names)}
        if found:
            return found
    raise FileMissing(f"{base_path} holds no data files")


def sharded(names: Iterable[str]) -> dict[str, list[str]]:
    """The patterns of the splits in names such as `train-00000-of-00002.parquet`."""
    splits = {check_split(name.rsplit("-of-", 1)[0].rsplit("-", 1)[0]) for name in names}
    ordered = [split for split in SPLITS if split in splits]
    return {split: [SHARDS.format(split=split)]
            for split in [*ordered, *sorted(splits - set(SPLITS))]}


def check_split(name: str) -> str:
    """The name itself.  Raises DataError unless it is words parted by dots."""
    if not SPLIT_NAME.fullmatch(name):
        raise DataError(f"Split name should match '^{SPLIT_NAME.pattern}$' but got {name!r}: "
                        f"letters, digits and underscores, with dots between")
    return name


def resolve_pattern(pattern: str, base_path: str = "", extensions: Iterable[str] | None = None,
                    storage: Mapping[str, Any] | None = None) -> list[str]:
    """The paths or URLs that a path, glob, URL or `zip://..::..` stands for.

    `**` crosses folders, `*` does not.  base_path: of relative ones.  extensions: one of them must
    be in a file's name.  Raises FileMissing.
    """
    if not is_url(pattern) and not os.path.isabs(pattern):
        base = base_path if base_path.endswith("://") else f"{base_path.rstrip('/')}/"
        pattern = base + pattern if base_path else pattern
    system, inner = require("fsspec").core.url_to_fs(pattern, **(storage or {}))
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    prefix = "" if protocol in ("file", "local") else f"{protocol}://"
    hops = pattern.split("::")[1:]
    wanted = IGNORED - {_name(pattern)}
    paths = [path for path in _globbed(system, inner, protocol) if _name(path) not in wanted]
    found = ["::".join([path if is_url(path) else prefix + path, *hops]) for path in paths]
    known = None if extensions is None else set(extensions)
    kept = [path for path in found if known is None or not known.isdisjoint(
        f".{part}" for part in _name(path.split("::")[0]).split(".")[1:])]
    if not kept:
        which = f" with any supported extension {sorted(known)}" if known is not None else ""
        raise FileMissing(f"Unable to find '{pattern}'{which}")
    return kept


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _globbed(system: Any, pattern: str, protocol: str) -> list[str]:
    """The files that a pattern of a filesystem stands for."""
    if protocol in ("file", "local") and walk.walks(pattern):
        return walk.matching(pattern)
    listed = _of_commit(pattern)
    detail = {"expand_info": False} if protocol == "hf" else {}  # spares a request a file
    entries = system.glob(pattern, detail=True, **detail) if listed is None else {
        path: {"type": "file"} for path in listed if _matches(pattern, path)}
    return [path for path, info in entries.items()
            if _is_file(path, info) and not _unrequested(path, pattern)]


def _is_file(path: str, info: Mapping[str, Any]) -> bool:
    return info["type"] == "file" or bool(info.get("islink") and os.path.isfile(path))


def _unrequested(path: str, pattern: str) -> bool:
    """Whether it is hidden, or below a `__folder__`, and the pattern does not say so."""
    def special(name: str) -> int:
        return sum(part.startswith("__") for part in PurePath(name).parent.parts)

    def hidden(name: str) -> int:
        return sum(part.startswith(".") and set(part) != {"."} for part in PurePath(name).parts)

    return special(path) != special(pattern) or hidden(path) != hidden(pattern)


def _listing(base_path: str, storage: Mapping[str, Any]) -> list[str]:
    """The names of all files below a folder, relative to it, one request or walk for all."""
    system, root = require("fsspec").core.url_to_fs(base_path, **storage)
    if "local" in system.protocol:
        return [name for name in walk.names(root.rstrip("/")) if _name(name) not in IGNORED]
    top, paths = root.rstrip("/") + "/", _of_commit(root)
    names = [path.removeprefix(top) for path in (system.find(root) if paths is None else paths)
             if path.startswith(top)]
    return [name for name in names
            if PurePath(name).name not in IGNORED and not _unrequested(name, "**")]


def remember_commit(root: str, names: Iterable[str]) -> None:
    """The files of a repository at a commit, so that nobody asks for them again.

    root: `datasets/user/name@commit`, of 40 hexadecimal digits.
    """
    while len(_commits) >= 64:
        del _commits[next(iter(_commits))]
    _commits[root] = [f"{root}/{name}" for name in sorted(names)]


def _of_commit(path: str) -> list[str] | None:
    root = COMMIT.match(path)
    return _commits.get(root[0]) if root else None


def _matches(pattern: str, name: str) -> bool:
    return walk.matcher(pattern)(name)
