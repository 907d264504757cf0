"""The cache that huggingface_hub keeps on disk, walked without importing it.

    {root}/models--{org}--{name}/refs/{revision}              a file holding the commit
                                 snapshots/{commit}/{file}    links into blobs/
                                 .no_exist/{commit}/{file}    empty: the commit has no such file
                                 trees/{commit}.json          all files of a commit, from 2.x on
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit hash, whose files never change."""
    return _COMMIT.fullmatch(revision) is not None


def commit_of(path: str | Path | None) -> str | None:
    """The commit that a cached file belongs to, read off its path, or None outside the cache."""
    found = re.search(r"[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]", str(path))
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class RepoCache:
    """One model repository under the cache `root`."""

    root: Path
    repo: str

    @property
    def folder(self) -> Path:
        return self.root / f"models--{self.repo.replace('/', '--')}"

    def commit(self, revision: str) -> str | None:
        """The commit that a branch or tag stood for when it was last seen."""
        if is_commit(revision):
            return revision
        ref = self.folder / "refs" / revision
        return ref.read_text().strip() if ref.is_file() else None

    def find(self, commit: str, filename: str) -> Path | None:
        path = self.folder / "snapshots" / commit / filename
        return path if path.is_file() else None

    def known_absent(self, commit: str, filename: str) -> bool:
        """Whether the commit is known not to have the file."""
        return (self.folder / ".no_exist" / commit / filename).is_file()

    def files(self, commit: str) -> list[str]:
        """What is cached of a commit, sorted."""
        return relative_files(self.folder / "snapshots" / commit)

    def listing(self, commit: str) -> frozenset[str] | None:
        """All that the commit has on the Hub, where a full download left the list."""
        path = self.folder / "trees" / f"{commit}.json"
        with suppress(OSError, ValueError, KeyError, TypeError):  # another version's, or damaged:
            return frozenset(json.loads(path.read_text("utf-8"))["files"])  # then it is asked anew
        return None

    def note_absent(self, commit: str, filename: str) -> None:
        """Remember that the commit has no such file, so that nobody asks again."""
        _write(self.folder / ".no_exist" / commit / filename, "")

    def note_ref(self, revision: str, commit: str) -> None:
        """Remember which commit a branch stands for."""
        if not is_commit(revision) and self.commit(revision) != commit:
            _write(self.folder / "refs" / revision, commit)

    def neighbours(self) -> list[str]:
        """The other model repositories in this cache."""
        if not self.root.is_dir():
            return []
        names = sorted(path.name for path in self.root.glob("models--*"))
        return [name.removeprefix("models--").replace("--", "/") for name in names]


def relative_files(folder: Path) -> list[str]:
    """The files below `folder` as sorted posix paths relative to it; hidden ones are left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(p.as_posix() for p in paths if not any(part[0] == "." for part in p.parts))


def listed(names: list[str]) -> str:
    """Names for an error message: a dozen, and how many more."""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more or "no files"


def _write(path: Path, text: str) -> None:
    with suppress(OSError):  # a read-only cache still serves what it has
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
