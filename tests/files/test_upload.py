"""Uploads, with the client replaced."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from enfold.errors import FileMissing
from enfold.files import push_to_hub, repo, resolve


class FakeApi:
    calls: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        FakeApi.calls = [("HfApi", options)]

    def create_repo(self, repo_id: str, **options: Any) -> SimpleNamespace:
        self.calls.append(("create_repo", options))
        return SimpleNamespace(repo_id=repo_id if "/" in repo_id else f"me/{repo_id}")

    def create_branch(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_branch", options))

    def upload_folder(self, **options: Any) -> SimpleNamespace:
        self.calls.append(("upload_folder", options))
        return SimpleNamespace(commit_url="https://hub/commit/1", oid="1")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> type[FakeApi]:
    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    return FakeApi


def test_push(tmp_path: Path, api: type[FakeApi]) -> None:
    commit = push_to_hub(tmp_path, "model", token="t", private=True, revision="dev",
                         commit_message="Better", commit_description="More data")
    assert commit.oid == "1"
    assert api.calls == [
        ("HfApi", {"endpoint": "http://127.0.0.1:9", "token": "t"}),
        ("create_repo", {"private": True, "exist_ok": True}),
        ("create_branch", {"branch": "dev", "exist_ok": True}),
        ("upload_folder", {"repo_id": "me/model", "folder_path": tmp_path, "revision": "dev",
                           "create_pr": False, "commit_message": "Better",
                           "commit_description": "More data",
                           "ignore_patterns": [".enfold-saving-*"]})]


def test_pull_request_makes_no_branch(tmp_path: Path, api: type[FakeApi]) -> None:
    push_to_hub(tmp_path, "org/model", create_pr=True)
    assert [name for name, _ in api.calls] == ["HfApi", "create_repo", "upload_folder"]
    assert api.calls[-1][1]["create_pr"] is True
    assert api.calls[-1][1]["commit_message"] == f"Upload {tmp_path.name}"


def test_what_was_pushed_is_asked_for_anew(tmp_path: Path, fake_hub, api: type[FakeApi]) -> None:
    resolve("org/model", "config.json")
    assert repo.asked
    push_to_hub(tmp_path, "org/model")
    assert not repo.asked


@pytest.mark.parametrize(("error", "message"), [
    ((401, ""), "access was denied (status 401, no token was sent)"),
    ((403, ""), "access was denied (status 403, no token was sent)"),
    ((404, "RepoNotFound"), "has no such repository"),
])
def test_refused(tmp_path: Path, fake_hub, error: tuple[int, str], message: str) -> None:
    fake_hub.error = error
    with pytest.raises(FileMissing) as caught:
        push_to_hub(tmp_path, "org/model")
    assert str(caught.value).startswith(f"can't upload {tmp_path} to org/model: ")
    assert message in str(caught.value)
    assert "The token must have the right to write there" in str(caught.value)


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileMissing) as caught:
        push_to_hub(tmp_path, "org/model")
    assert str(caught.value) == ("can't upload to org/model: HF_HUB_OFFLINE=1 forbids the network. "
                                 "Do: unset it for this")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"no folder '.*none' to upload. Do: save_pretrained"):
        push_to_hub(tmp_path / "none", "org/model")
