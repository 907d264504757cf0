"""The real `datasets` as the oracle, and expressions evaluated with either library."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import enfold.data.features as ours

Both = Callable[[str], tuple[Any, Any]]


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """datasets 5.2, or a skip."""
    datasets = pytest.importorskip("datasets", reason="datasets, the oracle, is not installed")
    # it wants torchcodec even to keep bytes as they are
    datasets.Audio.encode_example = lambda self, value: value
    return datasets


@pytest.fixture(scope="session")
def both(oracle: ModuleType) -> Both:
    """What an expression is with their classes, and with ours."""
    def evaluate(text: str) -> tuple[Any, Any]:
        theirs = eval(text, {**vars(oracle.features), **vars(oracle)})
        return theirs, eval(text, vars(ours).copy())

    return evaluate
