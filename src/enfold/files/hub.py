"""Finding the files of a model: a local folder, the cache, then the Hub.

    folder      the file is there or the error lists what is
    commit      a full hash never changes: what is cached is served without a request
    branch      one request per process asks which commit it is now; if nobody answers, the
                commit that the cache knows is served

No request is made under HF_HUB_OFFLINE=1 or local_files_only=True, and huggingface_hub is only
imported for one.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from enfold.errors import ArgumentError, FileMissing, nearest
from enfold.files import env, remote
from enfold.files.cache import RepoCache, is_commit, relative_files

log = logging.getLogger(__name__)
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
        return _Repo(str(name_or_path), options).find(filename, required)
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
    names, _ = _Repo(str(name_or_path), options).list()
    prefix = f"{options.subfolder.strip('/')}/" if options.subfolder else ""
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def knows_all(name_or_path: PathLike, options: HubOptions) -> bool:
    """Whether `list_files` gives all there is, not only what is cached."""
    return local_path(name_or_path) is not None or _Repo(str(name_or_path), options).list()[1]


def forget(repo: str) -> None:
    """Ask the Hub anew about a repository, which was just changed from here."""
    with _lock:
        for key in [key for key in _asked if key[1] == repo]:
            del _asked[key]


def local_path(name_or_path: PathLike) -> Path | None:
    """The folder or file that is meant, or None for a Hub repository's name.

    Raises `FileMissing` for what can only be a path and does not exist.
    """
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
_lock = threading.RLock()
_asked: dict[tuple[str, str, str, Any], remote.Listing | tuple[float, remote.HubFailure]] = {}
_RETRY = 60.0  # seconds before a Hub that did not answer is asked again


class _Repo:
    """One repository at one revision, as the options describe it."""

    def __init__(self, repo: str, options: HubOptions) -> None:
        self.options, self.revision = options, options.revision or "main"
        self.cache = RepoCache(env.cache_root(options.cache_dir), repo)
        self.repo = repo
        self.barred = "local_files_only=True" if options.local_files_only else env.offline()

    def find(self, filename: str, required: bool) -> Path | None:
        name = PurePosixPath(self.options.subfolder, filename)
        if name.is_absolute() or ".." in name.parts:
            raise FileMissing(f"{self.repo}: {str(name)!r} leads out of the repository. Expected a "
                              "path below its top")
        commit, failure = self._commit()
        found, absent = self._cached(commit, str(name))
        if found is None and not absent and not self.barred and failure is None:
            found, absent, failure = self._fetch(str(name))
        if found or (absent and not required):
            return found
        held = commit is not None and self.cache.files(commit)
        if held and not required and (self.barred or failure is self._ask(self.revision)):
            return None  # nobody can be asked, and the model's other files are here
        raise self._missing(str(name), commit, absent, failure)

    def list(self) -> tuple[list[str], bool]:
        """The files, and whether these are all."""
        commit, failure = self._commit()
        known = self._listing(commit)
        if known is not None and known.files is not None:
            return sorted(known.files), True
        if commit and (files := self.cache.files(commit)):
            return files, False
        raise self._missing("any file", commit, False, failure)

    def _commit(self) -> tuple[str | None, remote.HubFailure | None]:
        """The commit to serve, and why the Hub could not be asked for it, if it was."""
        cached = self.cache.commit(self.revision)
        if self.barred or is_commit(self.revision):
            return cached, None
        answer = self._ask(self.revision)
        if isinstance(answer, remote.Listing):
            return answer.commit or cached, None
        if isinstance(answer, remote.Refused) and cached:
            log.warning("%s: %s. Using the cached commit %s", self.repo, answer, cached)
        return cached, answer

    def _cached(self, commit: str | None, name: str) -> tuple[Path | None, bool]:
        """The cached file, and whether it is known not to exist."""
        if commit is None or (self.options.force_download and not self.barred):
            return None, False
        if found := self.cache.find(commit, name):
            return found, False
        listing = self.cache.listing(commit)
        return None, self.cache.known_absent(commit, name) or bool(listing and name not in listing)

    def _listing(self, commit: str | None) -> remote.Listing | None:
        """All files of the commit, from what is known, or by the one question of this process."""
        if commit and (files := self.cache.listing(commit)):
            return remote.Listing(commit, files)
        answer = None if self.barred else self._ask(self.revision)
        return answer if isinstance(answer, remote.Listing) else None

    def _fetch(self, name: str) -> tuple[Path | None, bool, remote.HubFailure | None]:
        """Download: the path, whether the repository lacks the file, and what went wrong."""
        answer = self._ask(self.revision)
        if isinstance(answer, remote.HubFailure):
            return None, False, answer
        if answer.files is not None and name not in answer.files:
            self.cache.note_absent(answer.commit or "", name)
            return None, True, None
        try:
            path = remote.download(self.repo, name, answer.commit or self.revision,
                                   self.options.token, self.cache.root, self.options.force_download)
        except remote.HubFailure as failure:
            return None, False, failure
        if path and answer.commit:
            self.cache.note_ref(self.revision, answer.commit)
        return path, path is None, None

    def _ask(self, revision: str) -> remote.Listing | remote.HubFailure:
        """The Hub's word on a revision: asked once per process, a minute after a failure again."""
        key = (env.endpoint(), self.repo, revision, self.options.token)
        with _lock:
            known = _asked.get(key)
            if isinstance(known, remote.Listing):
                return known
            if known and time.monotonic() - known[0] < _RETRY:
                return known[1]
            try:
                answer = remote.listing(self.repo, revision, self.options.token)
            except remote.HubFailure as failure:
                _asked[key] = (time.monotonic(), failure)
                return failure
            _asked[key] = answer
            return answer

    def _missing(self, name: str, commit: str | None, absent: bool,
                 failure: remote.HubFailure | None) -> FileMissing:
        if absent:
            listing = self._listing(commit)
            names = sorted(listing.files) if listing and listing.files else []
            return FileMissing(f"{self.repo}: the repository has no file {name!r} at revision "
                               f"{self.revision}{nearest(name, names)}. It holds {_listed(names)}")
        why = failure or f"{self.barred} forbids to download it"
        if isinstance(failure, remote.Refused):
            return FileMissing(f"{self.repo}: {why}. {self._looked(commit)}")
        return FileMissing(
            f"{self.repo}: {name} is not in the cache, and {why}. {self._looked(commit)}. Do: load "
            "it once with a network, or give a local folder with the model's files, or point "
            "HF_HOME or cache_dir= at a cache that has it")

    def _looked(self, commit: str | None) -> str:
        folder = self.cache.folder
        if not folder.is_dir():
            return (f"Looked for a folder {self.repo!r} here, then for {folder}"
                    f"{nearest(self.repo, self.cache.neighbours())}")
        if commit is None:
            return f"Looked in {folder}, which does not know the revision {self.revision!r}"
        held = self.cache.files(commit)
        return f"Looked in {folder / 'snapshots' / commit}, which holds {_listed(held)}"


def _missing_in_folder(folder: Path, path: Path) -> FileMissing:
    if folder.is_file():
        return FileMissing(f"{folder} is a file. Expected the folder of a model, with "
                           f"{path.name!r} in it")
    names = relative_files(path.parent)
    return FileMissing(f"{path.parent}: no file {path.name!r}{nearest(path.name, names)}. "
                       f"It holds {_listed(names)}. Do: give the folder that has it (subfolder= for one "
                       "below), or a Hub name for which no folder exists here")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more or "no files"
