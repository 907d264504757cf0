"""Where a dataset is saved: a folder of this machine or of an fsspec filesystem.

What is being saved takes the place of what was there only when all of it is written:

    here        shards are staged in a hidden folder; old shards of the same names get second names,
                the old state.json is pointed at those; shards move in, then dataset_info.json, then
                state.json, which names the shards and so makes the new dataset the one that is read
    elsewhere   there is no renaming: shards whose names are taken get other names
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from enfold.data import config
from enfold.data.io.target import is_url
from enfold.files.atomic import STAGING, atomic_write, link, sweep_staging, sync_file, sync_folder
from enfold.lazy import require

STATE, INFO = config.DATASET_STATE_JSON_FILENAME, config.DATASET_INFO_FILENAME
DICT = config.DATASETDICT_JSON_FILENAME
_SHARD = re.compile(r"(old-[0-9a-f]{8}-)?data-\d{5}-of-\d{5}\.arrow")


class Draft:
    """A dataset that is being saved.  folder: where its shards are written, by their names."""

    def __init__(self, place: Place, folder: str, names: list[str]) -> None:
        self.place, self.folder, self.names = place, folder, names

    def paths(self) -> list[str]:
        """Where each shard is to be written."""
        return [self.place.join(self.folder, name) for name in self.names]


class Place:
    """A folder by its name or URL, with what is read and written there."""

    def __init__(self, name: str, options: dict[str, Any] | None = None) -> None:
        self.name, self.options = name, options
        self.system, self.folder = require("fsspec").core.url_to_fs(name, **(options or {}))

    def join(self, *parts: str) -> str:
        """A path below a folder."""
        return "/".join([parts[0].rstrip("/"), *parts[1:]])

    def inside(self, name: str) -> Place:
        """A folder below this one."""
        return type(self)(self.join(self.name, name), self.options)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.system.isfile(self.join(self.folder, name)))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return bytes(self.system.cat_file(self.join(self.folder, name)))

    def write(self, name: str, content: bytes) -> None:
        """Replace a file."""
        self.system.pipe_file(self.join(self.folder, name), content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self.system.rm_file(self.join(self.folder, name))

    @contextmanager
    def made(self) -> Iterator[None]:
        """The folder, made if need be; gone again if the block fails and leaves it empty."""
        created = not self.system.exists(self.folder)
        self.system.makedirs(self.folder, exist_ok=True)
        try:
            yield
        except BaseException:
            if created:
                with suppress(OSError):  # not empty: then it is not ours to remove
                    self.system.rmdir(self.folder)
            raise

    def shards(self) -> list[str]:
        """The files of the dataset that is saved here; none if there is no whole one."""
        try:
            state = json.loads(self.read(STATE))
            names = [str(file["filename"]) for file in state["_data_files"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [name for name in names if "/" not in name and self.has(name)]

    @contextmanager
    def draft(self, names: list[str]) -> Iterator[Draft]:
        """Somewhere to write shards to, gone if the block fails."""
        if set(names) & set(self.shards()):
            token = token_hex(4)
            names = [f"{token}-{name}" for name in names]
        with self.made():
            try:
                yield Draft(self, self.name, names)
            except BaseException:
                for name in names:
                    self.remove(name)
                raise

    def publish(self, draft: Draft, info: bytes, state: bytes) -> None:
        """Let the draft be the dataset that is here."""
        old = self.shards()
        self.write(INFO, info)
        self.write(STATE, state)
        for name in [*(name for name in old if name not in draft.names), DICT]:
            self.remove(name)

    def publish_dict(self, listing: bytes) -> None:
        """Let the folders below be the splits of what is here."""
        old = self.shards()
        self.write(DICT, listing)
        for name in (STATE, INFO, *old):
            self.remove(name)

    def leftovers(self) -> bool:
        """Whether a save to here was killed."""
        return False

    def __str__(self) -> str:
        return self.name


class LocalPlace(Place):
    """A folder of this machine."""

    def __init__(self, name: str, options: dict[str, Any] | None = None) -> None:
        super().__init__(name, options)
        self.path = Path(self.folder)

    def inside(self, name: str) -> Place:
        """A folder below this one."""
        return type(self)(os.path.join(self.folder, name), self.options)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, whole or not at all."""
        atomic_write(self.path / name, content)

    @contextmanager
    def draft(self, names: list[str]) -> Iterator[Draft]:
        """A hidden folder within this one."""
        with self.made():
            sweep_staging(self.path)
            staging = tempfile.mkdtemp(dir=self.path, prefix=f"{STAGING}{os.getpid()}-")
            try:
                yield Draft(self, staging, names)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def publish(self, draft: Draft, info: bytes, state: bytes) -> None:
        """Let the draft be the dataset that is here."""
        for path in draft.paths():
            sync_file(Path(path))
        old = self._set_aside(draft.names)
        for name, path in zip(draft.names, draft.paths(), strict=True):
            os.replace(path, self.path / name)
        sync_folder(self.path)
        self.write(INFO, info)
        self.write(STATE, state)
        stale = {path.name for path in self.path.iterdir() if _SHARD.fullmatch(path.name)}
        for name in [*sorted({*old, *stale} - set(draft.names)), DICT]:
            self.remove(name)

    def leftovers(self) -> bool:
        """Whether a save to here was killed, or is at work."""
        return any(self.path.glob(f"{STAGING}*"))

    def _set_aside(self, names: list[str]) -> list[str]:
        """Keep the old dataset readable under second names; returns those of its files."""
        old = self.shards()
        clash = [name for name in old if name in names]
        if not clash:
            return old
        aside = {name: f"old-{token_hex(4)}-{name}" for name in clash}
        for name, other in aside.items():
            link(self.path / name, self.path / other)
        state = json.loads(self.read(STATE))
        for file in state["_data_files"]:
            file["filename"] = aside.get(file["filename"], file["filename"])
        sync_folder(self.path)
        self.write(STATE, json.dumps(state, indent=2, sort_keys=True).encode())
        return [aside.get(name, name) for name in old]


def place_of(path: Any, options: dict[str, Any] | None = None) -> Place:
    """The folder that a path or URL names."""
    name = os.fspath(path)
    name = name.removeprefix("file://") if name.startswith("file://") else name
    return Place(name, options) if is_url(name) else LocalPlace(os.path.expanduser(name), options)
