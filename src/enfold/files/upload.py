"""Sending a folder to the Hub, through huggingface_hub's client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from enfold.errors import FileMissing
from enfold.files import env, remote, repo


def push_to_hub(folder: str | os.PathLike[str], repo_id: str, *, token: str | bool | None = None,
                private: bool | None = None, commit_message: str | None = None,
                commit_description: str | None = None, revision: str | None = None,
                create_pr: bool = False) -> Any:
    """Create the repository if need be, upload the folder's files in one commit.

    repo_id: "org/name", or "name" for one's own.  revision: a branch, created if need be.
    create_pr: propose the commit instead of making it.  Returns huggingface_hub's CommitInfo
    (`commit_url`, `oid`, `pr_url`).  Raises `FileMissing` saying what the Hub objects to.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileMissing(f"no folder {str(folder)!r} to upload. Do: save_pretrained() into it "
                          "first")
    if setting := env.offline():
        raise FileMissing(f"can't upload to {repo_id}: {setting} forbids the network. "
                          "Do: unset it for this")
    api = _client(token)
    try:
        full_id = _created(api, repo_id, private, None if create_pr else revision)
        commit = api.upload_folder(
            repo_id=full_id, folder_path=folder, revision=revision, create_pr=create_pr,
            commit_message=commit_message or f"Upload {folder.name}",
            commit_description=commit_description, ignore_patterns=[".enfold-saving-*"])
    except Exception as error:  # the client's http library changes with its version
        why = remote.failure(error, repo_id, revision or "main", token)
        raise FileMissing(f"can't upload {folder} to {repo_id}: {why}. The token must have the "
                          "right to write there") from error
    repo.forget(full_id)
    return commit


def create_repository(repo_id: str, *, token: str | bool | None = None,
                      private: bool | None = None, revision: str | None = None) -> str:
    """Create a repository and a branch if need be; its full name, "owner/name".

    Raises `FileMissing` saying what the Hub objects to: before work whose results go there.
    """
    if setting := env.offline():
        raise FileMissing(f"can't create {repo_id}: {setting} forbids the network. Do: unset it "
                          "for this")
    try:
        return _created(_client(token), repo_id, private, revision)
    except Exception as error:  # the client's http library changes with its version
        why = remote.failure(error, repo_id, revision or "main", token)
        raise FileMissing(f"can't create {repo_id}: {why}. The token must have the right to write "
                          "there") from error


def _client(token: str | bool | None) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=env.endpoint(), token=token)


def _created(api: Any, repo_id: str, private: bool | None, branch: str | None) -> str:
    full_id = str(api.create_repo(repo_id, private=private, exist_ok=True).repo_id)
    if branch:
        api.create_branch(full_id, branch=branch, exist_ok=True)
    return full_id
