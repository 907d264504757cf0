"""Tiny checkpoints made by transformers 4.57, and what its pipelines give for the cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.cases import CASES

Oracle = tuple[Path, list[Any]]  # the folder of checkpoints, an answer per case


@pytest.fixture(scope="session")
def oracle(oracle457: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "cases.json").write_text(json.dumps(CASES))
    code = (Path(__file__).parent / "oracle.py").read_text()
    return folder, oracle457(code, folder, folder / "cases.json")


@pytest.fixture(scope="session")
def make(oracle: Oracle) -> Callable[..., Any]:
    """`make(task, name, **arguments)` is enfold's pipeline over one of the tiny checkpoints."""
    loaded: dict[Any, tuple[Any, Any]] = {}

    def build(task: str, name: str, **arguments: Any) -> Any:
        from enfold.tasks import pipeline
        from enfold.tasks.registry import find

        auto = find(task)[0].auto
        if (auto, name) not in loaded:
            made = pipeline(task, model=oracle[0] / name, device="cpu", **arguments)
            loaded[auto, name] = made.model, made.tokenizer
            return made
        model, tokenizer = loaded[auto, name]
        return pipeline(task, model=model, tokenizer=tokenizer, device="cpu", **arguments)

    return build
