"""A Hub on loopback, and caches made by hand in huggingface_hub's layout."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from enfold.files import repo

COMMIT = "a" * 40
NEWER = "b" * 40
VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "HF_TOKEN",
             "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
             "HF_HUB_ETAG_TIMEOUT", "XDG_CACHE_HOME")


@dataclass
class FakeHub:
    """What the server answers, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    commit: str = COMMIT
    repo: str = "org/model"
    error: tuple[int, str] | None = None  # for every request: status, X-Error-Code
    file_error: tuple[int, str] | None = None  # for files only
    lists: bool = True
    requests: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    repo.asked.clear()
    yield
    repo.asked.clear()


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    state = FakeHub(files={"config.json": b"{}", "sub/vocab.txt": b"a\nb\n"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


def _handler(state: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_POST(self) -> None:
            status, code = state.error or (501, "")
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self._send(status, {"X-Error-Code": code} if code else {}, b"{}", body=True)

        def log_message(self, *args: object) -> None:
            """Tests count requests instead."""

        def _answer(self, body: bool) -> None:
            path = unquote(self.path.split("?")[0])
            if not path.startswith((f"/{state.repo}", f"/api/models/{state.repo}")):
                return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"", body)
            state.requests.append(f"{self.command} {path}")
            state.tokens.append(self.headers.get("authorization"))
            is_file = not path.startswith("/api/")
            error = state.error or (state.file_error if is_file else None)
            if error:
                return self._send(error[0], {"X-Error-Code": error[1]} if error[1] else {}, b"",
                                  body)
            return self._file(path, body) if is_file else self._info(path, body)

        def _info(self, path: str, body: bool) -> None:
            if not state.lists:
                return self._send(404, {}, b"", body)
            revision = path.partition("/revision/")[2]
            if revision not in ("main", "pr/1", state.commit):
                return self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"", body)
            names = [{"rfilename": name} for name in state.files]
            info = {"id": state.repo, "sha": state.commit, "siblings": names}
            return self._send(200, {}, json.dumps(info).encode(), body)

        def _file(self, path: str, body: bool) -> None:
            name = path.partition("/resolve/")[2].partition("/")[2]
            headers = {"X-Repo-Commit": state.commit}
            if name not in state.files:
                return self._send(404, headers | {"X-Error-Code": "EntryNotFound"}, b"", body)
            data = state.files[name]
            return self._send(200, headers | {"ETag": hashlib.sha1(data).hexdigest()}, data, body)

        def _send(self, status: int, headers: dict[str, str], data: bytes, body: bool) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    return Handler


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """org/model with a config.json and sub/vocab.txt cached, main being COMMIT."""
    return make_cache(tmp_path / "hf" / "hub")


def make_cache(root: Path, repo: str = "org/model", commit: str = COMMIT) -> Path:
    folder = root / f"models--{repo.replace('/', '--')}"
    blob = folder / "blobs" / "123"
    snapshot = folder / "snapshots" / commit
    for path in (blob, folder / "refs" / "main", snapshot / "sub" / "vocab.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_text("{}")
    (folder / "refs" / "main").write_text(commit)
    (snapshot / "config.json").symlink_to("../../blobs/123")
    (snapshot / "sub" / "vocab.txt").write_text("a\n")
    return folder
