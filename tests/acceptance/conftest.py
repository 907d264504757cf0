"""The checkpoints of the snippets, and what the snippets give under transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.acceptance.snippets import SNIPPETS
from tests.conftest import DATA, ORACLE_457

SCRIPT = Path(__file__).with_name("reference.py")


class Reference(NamedTuple):
    """A folder with the checkpoints; for each version of transformers, answers by snippet."""

    folder: Path
    answers: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Checkpoints and answers by transformers 4.57 where it is, and by the one installed."""
    folder = tmp_path_factory.mktemp("hub")
    five = [name for name, snippet in SNIPPETS.items() if not snippet.only4]
    if not (ORACLE_457 / "transformers").is_dir():
        return Reference(folder, {"5": _ask(folder, five, DATA)})
    old = _ask(folder, list(SNIPPETS), DATA, PYTHONPATH=str(ORACLE_457))
    return Reference(folder, {"4.57": old, "5": _ask(folder, five)})


def _ask(folder: Path, names: list[str], *data: Path, **env: str) -> dict[str, Any]:
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, SCRIPT, "transformers", folder, json.dumps(names), *data]
    done = subprocess.run(command, env=os.environ | quiet | env, capture_output=True, text=True,
                          timeout=300)
    if done.returncode:
        raise RuntimeError(f"transformers failed:\n{done.stderr[-3000:]}")
    answers: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answers


@pytest.fixture
def hub(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of checkpoints as the current one: `openai-community/gpt2` is one of them."""
    monkeypatch.chdir(reference.folder)
    return reference.folder


@pytest.fixture(scope="session")
def differences() -> Callable[..., list[Any]]:
    """`differences(a, b)`: (path, one, other) where nested lists and dicts are not equal."""

    def compare(one: Any, other: Any, path: str = "") -> list[Any]:
        numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
        if numbers and (isinstance(one, float) or isinstance(other, float)):
            return [] if one == pytest.approx(other, rel=1e-5, abs=1e-5) else [(path, one, other)]
        if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
            return [found for key in one for found in compare(one[key], other[key],
                                                              f"{path}.{key}")]
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            return [found for index, pair in enumerate(zip(one, other, strict=True))
                    for found in compare(*pair, f"{path}[{index}]")]
        return [] if type(one) is type(other) and one == other else [(path, one, other)]

    return compare
