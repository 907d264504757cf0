"""Models over several devices, of a machine that has one: see place_elsewhere.py."""

from __future__ import annotations

import os
import subprocess
import sys
from ast import literal_eval
from functools import cache
from pathlib import Path

import pytest

from tests.weights.place_elsewhere import CASES

ROOT = Path(__file__).parents[2]


@cache
def results() -> dict[str, str]:
    """What each case came to; a process of its own, for torch is told of devices there."""
    done = subprocess.run([sys.executable, "-m", "tests.weights.place_elsewhere"], cwd=ROOT,
                          capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: found for name, _, found in lines} or {"": done.stderr}


@pytest.mark.parametrize("name", CASES)
def test_over_devices(name: str) -> None:
    found = results().get(name, results().get("", "the case did not run"))
    assert found == "ok", literal_eval(found) if found[:1] in "'\"" else found
