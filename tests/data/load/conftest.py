"""Files written for a test, and a Hub of datasets on loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import huggingface_hub
import pytest
from huggingface_hub import constants

COMMIT, CONVERTED = "a" * 40, "c" * 40
VARIABLES = ("HF_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_DATASETS_CACHE",
             "HF_DATASETS_OFFLINE", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    huggingface_hub.HfFileSystem.clear_instance_cache()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    """Write a file of this name below a temporary folder; its path."""
    def writer(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return writer


@dataclass
class FakeHub:
    """Repositories by name: their files by revision; which need the token; what was asked."""

    url: str = ""
    repos: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    token: str = "secret"

    def add(self, name: str, files: dict[str, bytes | str], revision: str = COMMIT) -> None:
        self.repos.setdefault(name, {})[revision] = {
            path: data.encode() if isinstance(data, str) else data for path, data in files.items()}


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    state = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


ALIASES = {"main": COMMIT, "refs/convert/parquet": CONVERTED}


def _handler(state: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

        def log_message(self, *args: object) -> None:
            """Tests look at `requests` instead."""

        def _answer(self, body: bytes) -> None:
            path = unquote(self.path.split("?")[0])
            state.requests.append(f"{self.command} {path}")
            api, rest = path.startswith("/api/"), path.partition("/datasets/")[2]
            name = next((one for one in state.repos if f"{rest}/".startswith(f"{one}/")), None)
            allowed = name not in state.private or (
                self.headers.get("authorization") == f"Bearer {state.token}")
            if name is None or not allowed:
                return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"")
            what, _, tail = rest[len(name) + 1:].partition("/")
            revision, inner = self._revision(tail or "main")
            files = state.repos[name].get(revision)
            if files is None:
                return self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"")
            if not api:
                return self._file(files, inner, revision)
            answer = {"revision": self._info, "": self._info, "tree": self._tree,
                      "paths-info": self._paths}[what](name, revision, files, inner, body)
            return self._send(200, {}, json.dumps(answer).encode())

        def _revision(self, tail: str) -> tuple[str, str]:
            for alias, commit in ALIASES.items():
                if f"{tail}/".startswith(f"{alias}/"):
                    return commit, tail[len(alias) + 1:]
            revision, _, inner = tail.partition("/")
            return revision, inner

        def _info(self, name: str, revision: str, files: Any, *_: Any) -> Any:
            return {"id": name, "sha": revision,
                    "siblings": [{"rfilename": path} for path in files]}

        def _entry(self, files: Any, path: str) -> Any:
            if path in files:
                return {"type": "file", "path": path, "size": len(files[path]),
                        "oid": hashlib.sha1(files[path]).hexdigest()}
            return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}

        def _tree(self, name: str, revision: str, files: Any, inner: str, body: bytes) -> Any:
            below = [path for path in files if not inner or path.startswith(f"{inner}/")]
            found = dict.fromkeys(below)
            for path in below:
                parts = path.split("/")
                found.update(dict.fromkeys("/".join(parts[:n]) for n in range(1, len(parts))))
            if "recursive=true" not in self.path.lower():
                depth = inner.count("/") + 1 if inner else 0
                found = {path: None for path in found if path.count("/") == depth}
            return [self._entry(files, path) for path in sorted(found) if path != inner]

        def _paths(self, name: str, revision: str, files: Any, inner: str, body: bytes) -> Any:
            if body[:1] == b"{":
                asked = json.loads(body)["paths"]
            else:
                asked = [part.partition("=")[2] for part in unquote(body.decode()).split("&")
                         if part.startswith("paths=")]
            return [self._entry(files, path) for path in asked
                    if any(f"{one}/".startswith(f"{path}/") for one in files)]

        def _file(self, files: Any, inner: str, revision: str) -> None:
            headers = {"X-Repo-Commit": revision}
            if inner not in files:
                return self._send(404, headers | {"X-Error-Code": "EntryNotFound"}, b"")
            data, status = files[inner], 200
            headers["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
            if (asked := self.headers.get("range", "")).startswith("bytes="):
                first, _, last = asked[6:].partition("-")
                end = min(int(last or len(data) - 1), len(data) - 1)
                headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
                data, status = data[int(first):end + 1], 206
            return self._send(status, headers, data)

        def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    return Handler
