"""Every case gives what transformers 4.57 gives: the same types, keys in the same order, values."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from tests.tasks.cases import CASES
from tests.tasks.conftest import Oracle
from tests.tasks.oracle import typed

GONE = ("question-answering", "text2text-generation", "summarization", "translation")
OLD = {"return_all_scores", "grouped_entities", "multi_class"}


def in_newer(case: dict[str, Any]) -> bool:
    """Whether transformers 5 still has the task and the arguments."""
    return not case["task"].startswith(GONE) and not OLD & {*case["init"], *case["kwargs"]}


@pytest.mark.parametrize(
    "index", range(len(CASES)), ids=[f"{c['task']}-{c['model']}-{n}" for n, c in enumerate(CASES)]
)
def test_equals_transformers(index: int, oracle: Oracle, make: Callable[..., Any]) -> None:
    case = CASES[index]
    pipe = make(case["task"], case["model"], **case["init"])
    same(pipe(*case["args"], **case["kwargs"]), oracle[1][index])


@pytest.mark.parametrize("index", [n for n, case in enumerate(CASES) if in_newer(case)])
def test_equals_newer_transformers(index: int, newer: Callable[..., Any]) -> None:
    case, arguments = CASES[index], (CASES[index]["args"], CASES[index]["kwargs"])
    theirs, ours = newer(case)
    same(ours(*arguments[0], **arguments[1]), typed(theirs(*arguments[0], **arguments[1])))


@pytest.fixture(scope="module")
def newer(oracle: Oracle, make: Callable[..., Any]) -> Callable[..., Any]:
    """`newer(case)` gives the installed transformers' pipeline and enfold's."""
    pipelines = functools.cache(
        lambda task, name, init: transformers.pipeline(
            task, model=oracle[0] / name, device="cpu", **json.loads(init)
        )
    )
    return lambda case: (
        pipelines(case["task"], case["model"], json.dumps(case["init"])),
        make(case["task"], case["model"], **case["init"]),
    )


def same(got: Any, want: list[Any], path: str = "result") -> None:
    """Compare a result with the oracle's [type name, content]."""
    kind, content = want
    if isinstance(got, torch.Tensor):
        assert f"Tensor{list(got.shape)}" == kind, path
        torch.testing.assert_close(
            got, torch.tensor(content, dtype=got.dtype), rtol=1e-5, atol=1e-5
        )
        return
    assert type(got).__name__ == kind, f"{path}: {got!r}"
    if isinstance(got, dict):
        assert list(got) == [key for key, _ in content], path
        for key, value in content:
            same(got[key], value, f"{path}[{key!r}]")
    elif isinstance(got, (list, tuple)):
        assert len(got) == len(content), f"{path}: {got!r}"
        for place, (item, value) in enumerate(zip(got, content, strict=True)):
            same(item, value, f"{path}[{place}]")
    elif isinstance(content, float):
        assert got == pytest.approx(content, rel=1e-5, abs=1e-5), path
    else:
        assert got == content, path
