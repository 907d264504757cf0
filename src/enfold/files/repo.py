"""One Hub repository at one revision: what the cache has of it, what is asked, what is missing."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from enfold.errors import FileMissing, nearest
from enfold.files import env, remote
from enfold.files.cache import RepoCache, is_commit, listed

if TYPE_CHECKING:
    from enfold.files.hub import HubOptions

log = logging.getLogger(__name__)
asked: dict[tuple[str, str, str, Any], remote.Listing | tuple[float, remote.HubFailure]] = {}
_lock = threading.RLock()
_RETRY = 60.0  # seconds before a Hub that did not answer is asked again


def forget(repo: str) -> None:
    """Ask the Hub anew about a repository, which was just changed from here."""
    with _lock:
        for key in [key for key in asked if key[1] == repo]:
            del asked[key]


class Repo:
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
        if self.options.force_download and self.barred:
            raise FileMissing(f"{self.repo}: force_download=True needs the network, which "
                              f"{self.barred} forbids. Do: drop one of them")
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

    def names(self) -> tuple[list[str], bool]:
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
        return cached, answer

    def _cached(self, commit: str | None, name: str) -> tuple[Path | None, bool]:
        """The cached file, and whether it is known not to exist."""
        if commit is None or self.options.force_download:
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
            known = asked.get(key)
            if isinstance(known, remote.Listing):
                return known
            if known and time.monotonic() - known[0] < _RETRY:
                return known[1]
            try:
                answer = remote.listing(self.repo, revision, self.options.token)
            except remote.HubFailure as failure:
                asked[key] = (time.monotonic(), failure)
                if isinstance(failure, remote.Refused) and (held := self.cache.commit(revision)):
                    log.warning("%s: %s. Using the cached commit %s", self.repo, failure, held)
                return failure
            asked[key] = answer
            return answer

    def _missing(self, name: str, commit: str | None, absent: bool,
                 failure: remote.HubFailure | None) -> FileMissing:
        if absent:
            listing = self._listing(commit)
            names = sorted(listing.files) if listing and listing.files else []
            return FileMissing(f"{self.repo}: the repository has no file {name!r} at revision "
                               f"{self.revision}{nearest(name, names)}. It holds {listed(names)}")
        anew = self.options.force_download
        state = "was to be downloaded anew" if anew else "is not in the cache"
        why = failure or f"{self.barred} forbids to download it"
        if isinstance(failure, remote.Refused):
            return FileMissing(f"{self.repo}: {why}. {self._looked(commit)}")
        return FileMissing(
            f"{self.repo}: {name} {state}, and {why}. {self._looked(commit)}. Do: load "
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
        return f"Looked in {folder / 'snapshots' / commit}, which holds {listed(held)}"
