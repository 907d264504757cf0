"""A Hub in memory behind huggingface_hub's client."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError

from enfold.data.push import places


def _failure(kind: type[Exception], status: int, text: str = "no") -> Exception:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind(text, response=response)


@dataclass
class Hub:
    """Repositories as {branch: {path: bytes}}, and what was asked."""

    folder: Any
    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: dict[str, bool | None] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    uploads: list[str] = field(default_factory=list)
    commits: list[Any] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)  # status codes to fail commits with
    regular: bool = False  # take files with the commit
    break_after: int | None = None  # uploads after which the network is gone
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    snapshots: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def files(self, name: str = "user/data", branch: str = "main") -> dict[str, bytes]:
        return self.repositories[name][branch]

    # what the client has

    def repo_info(self, name: str, repo_type: str, revision: str | None = None) -> Any:
        full = name if "/" in name else f"user/{name}"
        if full not in self.repositories:
            raise _failure(RepositoryNotFoundError, 404)
        sha = f"{next(self.numbers):040x}"
        self.snapshots[sha] = dict(self.files(full, revision or "main"))
        return SimpleNamespace(id=full, sha=sha)

    def create_repo(self, name: str, repo_type: str, private: bool | None, exist_ok: bool) -> Any:
        full = name if "/" in name else f"user/{name}"
        self.repositories.setdefault(full, {"main": {}})
        self.private[full] = private
        return SimpleNamespace(repo_id=full)

    def create_branch(self, name: str, branch: str, repo_type: str, exist_ok: bool) -> None:
        branches = self.repositories[name]
        branches.setdefault(branch, dict(branches["main"]))

    def _at(self, name: str, revision: str | None) -> dict[str, bytes]:
        if revision in self.snapshots:
            return self.snapshots[revision]
        return self.files(name, revision or "main")

    def list_repo_tree(self, name: str, path_in_repo: str, repo_type: str,
                       revision: str | None) -> Any:
        found = {path: text for path, text in self._at(name, revision).items()
                 if path.startswith(path_in_repo + "/")}
        if not found:
            raise EntryNotFoundError("no such file")
        return iter([SimpleNamespace(path=path, size=len(text), lfs=SimpleNamespace(
            sha256=hashlib.sha256(text).hexdigest())) for path, text in found.items()])

    def hf_hub_download(self, name: str, path: str, repo_type: str, revision: str | None) -> str:
        files = self._at(name, revision)
        if path not in files:
            raise EntryNotFoundError("no such file")
        local = self.folder / f"{next(self.numbers)}"
        local.write_bytes(files[path])
        return str(local)

    def preupload_lfs_files(self, repo_id: str, additions: Any, repo_type: str,
                            revision: str | None, create_pr: bool) -> None:
        for addition in additions if not self.regular else ():
            if self.break_after is not None and len(self.uploads) >= self.break_after:
                raise ConnectionError("the network is gone")
            with addition.as_file() as file:
                text = file.read()
            digest = addition.upload_info.sha256.hex()
            if digest not in self.stored:
                self.uploads.append(addition.path_in_repo)
            self.stored[digest] = text
            addition.path_or_fileobj = b""

    def create_commit(self, name: str, operations: Any, commit_message: str,
                      commit_description: str | None, repo_type: str, revision: str | None,
                      create_pr: bool, parent_commit: str | None = None) -> Any:
        if self.conflicts:
            raise _failure(HfHubHTTPError, self.conflicts.pop(0))
        branch = revision or "main"
        if create_pr:
            branch = f"refs/pr/{next(self.numbers)}"
            self.repositories[name][branch] = dict(self.files(name, revision or "main"))
        files = self.repositories[name].setdefault(branch, {})
        for operation in operations:
            if isinstance(operation, CommitOperationAdd):
                text = operation.path_or_fileobj
                if not text:
                    text = self.stored[operation.upload_info.sha256.hex()]
                assert isinstance(text, bytes)
                files[operation.path_in_repo] = text
            elif isinstance(operation, CommitOperationDelete):
                del files[operation.path_in_repo]
        info = SimpleNamespace(commit_message=commit_message, pr_revision=branch,
                               commit_description=commit_description, create_pr=create_pr,
                               count=len(operations))
        self.commits.append(info)
        return info


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    found = Hub(tmp_path)
    monkeypatch.setattr(places, "client", lambda token: found)
    monkeypatch.setattr("enfold.data.push.commit.client", lambda token: found)
    return found
