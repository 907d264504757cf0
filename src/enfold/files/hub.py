"""Finding the files of a model: a local folder, the cache, then the Hub.

    folder      the file is there or the error lists what is
    commit      a full hash never changes: what is cached is served without a request
    branch      one request per process asks which commit it is now; if nobody answers, the
                commit that the cache knows is served

No request is made under HF_HUB_OFFLINE=1 or local_files_only=True, and huggingface_hub is only
imported for one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from enfold.errors import ArgumentError, FileMissing, nearest
from enfold.files.cache import listed, relative_files
from enfold.files.repo import Repo

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class HubOptions:
    """Where and how to look for files, as `from_pretrained` is told.

    revision: branch, tag or commit, "main" by default; a local folder has no revisions.
    cache_dir: instead of $HF_HUB_CACHE.  token: a string, True (the stored one must exist), False
    (send none), None (the stored one if there is one).  local_files_only: make no request.
    subfolder: below the repository's or folder's top.  force_download: replace cached files.
    """

    revision: str | None = None
    cache_dir: PathLike | None = None
    token: str | bool | None = None
    local_files_only: bool | None = None
    subfolder: str = ""
    force_download: bool = False

    @classmethod
    def pop(cls, kwargs: dict[str, Any]) -> HubOptions:
        """Take the options out of `kwargs`, older spellings included; None means the default."""
        kwargs.pop("resume_download", None)  # downloads always resume
        old = kwargs.pop("use_auth_token", None)
        found = {name: kwargs.pop(name) for name in cls.__slots__ if name in kwargs}
        if old is not None and found.get("token") is not None:
            raise ArgumentError("token= and use_auth_token= were both given. Expected one of them: "
                                "drop use_auth_token=, its older spelling")
        options = cls(**{name: value for name, value in found.items() if value is not None})
        return options if old is None else replace(options, token=old)


def resolve(name_or_path: PathLike, filename: str, *, revision: str | None = None,
            cache_dir: PathLike | None = None, token: str | bool | None = None,
            local_files_only: bool | None = None, subfolder: str = "",
            force_download: bool = False, required: bool = True) -> Path | None:
    """The path of one file of a local folder or Hub repository, downloaded if need be.

    None if the file does not exist and `required` is false.  Raises `FileMissing` if it is
    required, or if the folder or repository itself can't be found.
    """
    options = HubOptions(revision, cache_dir, token, local_files_only, subfolder, force_download)
    return find(name_or_path, filename, options, required=required)


def find(name_or_path: PathLike, filename: str, options: HubOptions, *,
         required: bool = True) -> Path | None:
    """`resolve` with its options in one piece."""
    local = local_path(name_or_path)
    if local is None:
        return Repo(str(name_or_path), options).find(filename, required)
    if local.is_file() and local.name == PurePosixPath(filename).name:
        return local
    path = local / options.subfolder / filename
    if path.is_file():
        return path
    if required:
        raise _missing_in_folder(local, path)
    return None


def list_files(name_or_path: PathLike, options: HubOptions | None = None) -> list[str]:
    """The files of a folder or repository, as sorted posix paths below its subfolder.

    Without a network, those of a repository that are in the cache.
    """
    options = options or HubOptions()
    local = local_path(name_or_path)
    if local is not None:
        return relative_files(local / options.subfolder)
    names, _ = Repo(str(name_or_path), options).names()
    prefix = f"{options.subfolder.strip('/')}/" if options.subfolder else ""
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def knows_all(name_or_path: PathLike, options: HubOptions) -> bool:
    """Whether `list_files` gives all there is, not only what is cached."""
    return local_path(name_or_path) is not None or Repo(str(name_or_path), options).names()[1]


def local_path(name_or_path: PathLike) -> Path | None:
    """The folder or file that is meant, or None for a Hub repository's name.

    Raises `FileMissing` for what can only be a path and does not exist.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise FileMissing(f"{name_or_path!r:.80} names no model. Expected a folder, or a Hub name "
                          "such as 'org/model'")
    path, text = Path(name_or_path).expanduser(), str(name_or_path)
    if text and path.exists():
        return path
    if isinstance(name_or_path, os.PathLike) or text.startswith(_PATHS) or text.count("/") > 1:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise FileMissing(f"no folder {text!r}{nearest(path.name, siblings)}. Expected a folder "
                          "with a model's files, or a Hub name such as 'org/model'")
    if not _NAME.fullmatch(text) or "--" in text or ".." in text:
        raise FileMissing(f"{text!r} is neither a folder here nor a Hub name. Expected a path, or "
                          "'org/model' of letters, digits, '-', '_' and '.'")
    return None


_PATHS = (".", "/", "~", "\\")
_NAME = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}\w)?(?:/[A-Za-z0-9_](?:[\w.-]{0,94}\w)?)?", re.A)


def _missing_in_folder(folder: Path, path: Path) -> FileMissing:
    if folder.is_file():
        return FileMissing(f"{folder} is a file. Expected the folder of a model, with "
                           f"{path.name!r} in it")
    if not path.parent.is_dir():
        return FileMissing(f"no folder {str(path.parent)!r}. {folder} holds "
                           f"{listed(relative_files(folder))}. Do: correct subfolder=")
    names = relative_files(path.parent)
    return FileMissing(f"{path.parent}: no file {path.name!r}{nearest(path.name, names)}. "
                       f"It holds {listed(names)}. Do: give the folder that has it (subfolder= "
                       "for one below), or a Hub name for which no folder exists here")
