"""Writing so that a process killed at any moment leaves the old files or the new ones.

A file is written under another name, flushed to disk and renamed.  A folder's files are staged in
a hidden folder inside it and then moved, in this order:

    1. set aside   old shards whose names the new ones take get second names (hard links), and the
                   old index is pointed at those: the old checkpoint stays whole
    2. shards      no index names them yet
    3. the rest    config and such, only where they differ
    4. heads       model.safetensors or the index: from here on the new checkpoint is the one read
    5. sweep       files of the old checkpoint that the new one does not use
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from filecmp import cmp
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from enfold.errors import FileMissing

_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}\.(?P<kind>safetensors|bin)")
_INDEX = re.compile(r"(?P<stem>.+)\.(?P<kind>safetensors|bin)\.index(?P<variant>\.[^.]+)?\.json")
_SINGLE = re.compile(r"(?P<stem>.+)\.(?P<kind>safetensors|bin)")
STAGING = ".enfold-saving-"
Group = tuple[str, str]  # ("model.fp16", "safetensors"): the files of one checkpoint


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write; when the block ends well it takes its place at `path`, whole."""
    path = Path(path)
    part = path.with_name(f"{STAGING}{os.getpid()}-{token_hex(4)}")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at `path` by one holding `data`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


@contextmanager
def atomic_folder_write(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A staging folder: when the block ends well its files take their places in `folder`.

    After an error `folder` is as it was.  Files of an older checkpoint that the new one replaces,
    such as shards that are no longer named, are removed; others stay.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileMissing(f"can't save to {folder}: it is a file. Expected a folder, or a name "
                          "that is free")
    created = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    sweep_staging(folder)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix=f"{STAGING}{os.getpid()}-"))
    try:
        yield staging
        _publish(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        if created:
            with suppress(OSError):  # not empty: then it is not ours to remove
                folder.rmdir()
        raise
    shutil.rmtree(staging)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable, on systems where a folder can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _publish(staging: Path, folder: Path) -> None:
    names = [path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()]
    for name in names:
        sync_file(staging / name)
    groups = {group for name in names if (group := _head(name))}
    for group in groups:
        _set_aside(folder, group, set(names))
    shards = [name for name in names if _SHARD.fullmatch(name)]
    heads = [name for name in names if _head(name)]
    rest = sorted(set(names) - set(shards) - set(heads))
    for batch in (shards, [name for name in rest if _differs(staging, folder, name)], heads):
        for name in batch:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / name, folder / name)
        sync_folder(folder)
    for name in _superseded(folder, groups, set(names)):
        (folder / name).unlink()
    sync_folder(folder)


def _head(name: str) -> Group | None:
    """The checkpoint that a file is the entrance of: its index, or its single file."""
    if found := _INDEX.fullmatch(name):
        return found["stem"] + (found["variant"] or ""), found["kind"]
    found = _SINGLE.fullmatch(name)
    return (found["stem"], found["kind"]) if found and not _SHARD.fullmatch(name) else None


def _set_aside(folder: Path, group: Group, new: set[str]) -> None:
    """Step 1 for one checkpoint: keep the old shards readable under second names."""
    for index in (name for name in os.listdir(folder) if _INDEX.fullmatch(name)):
        if _head(index) != group:
            continue
        try:
            content = json.loads((folder / index).read_text("utf-8"))
            clashing = {shard for shard in content["weight_map"].values() if shard in new}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # unreadable: there is no old checkpoint to keep
        aside = {shard: _aside(shard) for shard in clashing if (folder / shard).is_file()}
        if aside:
            for shard, name in aside.items():
                link(folder / shard, folder / name)
            weights = content["weight_map"].items()
            content["weight_map"] = {key: aside.get(shard, shard) for key, shard in weights}
            sync_folder(folder)
            atomic_write(folder / index, json.dumps(content, indent=2).encode())


def _aside(shard: str) -> str:
    """model-00001-of-00002.safetensors -> model-old-00001-of-00002.safetensors."""
    return re.sub(r"(-\d{5}-of-\d{5}\.)", r"-old\1", shard)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; a copy where the file system has no hard links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)


def _superseded(folder: Path, groups: set[Group], new: set[str]) -> list[str]:
    """Old files of the saved checkpoints, entrances first: what is read is never half gone.

    A pytorch_model.bin also replaces model.safetensors, which would be read in its stead.
    """
    shadowing = {(stem.replace("pytorch_model", "model", 1), "safetensors")
                 for stem, kind in groups if kind == "bin" and stem.startswith("pytorch_model")}
    gone = groups | shadowing
    gone_shards = gone | {(f"{stem}-old", kind) for stem, kind in gone}
    old = [name for name in os.listdir(folder) if name not in new and (folder / name).is_file()]
    heads = sorted((n for n in old if _head(n) in gone), key=lambda n: not n.endswith(".json"))
    return heads + [name for name in old if (found := _SHARD.fullmatch(name))
                    and (found["stem"], found["kind"]) in gone_shards]


def _differs(staging: Path, folder: Path, name: str) -> bool:
    target = folder / name
    return not (target.is_file() and cmp(staging / name, target, shallow=False))


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sweep_staging(folder: Path) -> None:
    """Remove what saves that were killed have left; a save still running keeps its own."""
    for leftover in folder.glob(f"{STAGING}*"):
        pid = leftover.name.removeprefix(STAGING).split("-")[0]
        if not (pid.isdigit() and _alive(int(pid))):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name != "posix":  # os.kill(pid, 0) would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
