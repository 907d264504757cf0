"""Every benchmark runs, small, and writes a table and JSON with the facts of the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
FACTS = {"date", "cpu", "features", "cores", "load", "threads", "torch", "transformers", "enfold"}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.parametrize("name", NAMES)
def test_runs(name: str, python: Callable, checkpoints: Path, tmp_path: Path) -> None:
    env = {"ENFOLD_BENCH": str(checkpoints)}
    done = python(FOLDER / f"{name}.py", "--quick", "--json", tmp_path, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / f"{name}.json").read_text())
    table = (tmp_path / f"{name}.md").read_text()
    assert record["rows"] and record["about"]["quick"]
    assert record["about"].keys() >= FACTS
    lines = table.splitlines()
    assert lines[0].count("|") == len(record["rows"][0]) + 1
    assert all(line in done.stdout for line in lines[:len(record["rows"]) + 2])
