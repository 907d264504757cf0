"""Functions that a run of several processes may begin in the caller's process, and that it does."""

from __future__ import annotations

import ctypes
import json
import math
import os
import random
import re
import subprocess
from collections import Counter
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models

from enfold.data import Dataset
from enfold.data.executor import WorkerError
from enfold.data.executor.process import pool
from enfold.data.plan.call import Call, Format
from enfold.data.plan.tame import tame

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are POSIX only")
PATTERN, TABLE = re.compile("a+"), {"a": 1, "deep": [{"b": (2, None)}]}
OBJECTS = np.array([len, print])
TOKENIZER = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))


class Callable:
    def __call__(self, row):
        return {}

    def method(self, row):
        return {}


def helper(text):
    return PATTERN.sub("", text)


def uses_libraries(row):
    import unicodedata

    try:
        words = sorted(helper(row["text"]).lower().split(), key=lambda word: -len(word))
        return {"n": math.log(len(words)), "c": Counter(words).most_common(1), "t": TABLE["a"],
                "m": np.mean([1.0]), "j": json.dumps(words), "u": unicodedata.name("a")}
    except ValueError as error:
        raise KeyError(str(error)) from error


def exits(row):
    os._exit(1)


def kills(row):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def crashes(row):
    ctypes.string_at(0)


def escapes(row):
    return ().__class__.__base__.__subclasses__()


def makes_a_class(row):
    class Made:
        pass

    return {"x": str(Made())}


async def waits(row):
    return {}


@pytest.mark.parametrize("function", [
    uses_libraries, partial(uses_libraries), lambda row, n=2: {"n": len(row["text"]) * n},
    lambda row: {"ids": TOKENIZER.encode(row["text"]).ids}, TOKENIZER.encode, str.lower, len,
    np.mean, lambda batch: {"n": list(map(str.upper, batch["text"]))},
])
def test_harmless(function) -> None:
    assert tame(Call(function))


@pytest.mark.parametrize("function", [
    exits, kills, crashes, escapes, makes_a_class, waits, Callable(), Callable().method,
    lambda row: exits(row), lambda row: Callable(), partial(max, exits), exit, eval, os.kill,
    lambda row: {"x": random.random()}, lambda row: {"x": np.random.rand()},
    lambda row: exec("1"), lambda row: getattr(row, row), lambda row: open,
    lambda row, held=OBJECTS: held, lambda row, held=({"deep": [exits]},): held,
])
def test_not_known_to_be_harmless(function) -> None:
    assert not tame(Call(function))


def test_what_torch_makes_of_rows_is_not_known() -> None:
    assert tame(Call(len, format=Format("numpy")))
    assert not tame(Call(len, format=Format("torch")))
    assert not tame(Call(len, format=Format("custom", kwargs={"transform": exits})))
    assert not tame(Call(len, fn_kwargs={"other": exits}))


def test_short_work_of_harmless_functions_starts_no_process(monkeypatch) -> None:
    pool.close()
    monkeypatch.setattr(subprocess, "Popen", None)
    rows = Dataset.from_dict({"x": list(range(3000))})
    rows = rows.map(lambda row: {"y": row["x"] + 1}, num_proc=2).filter(
        lambda row: row["y"] % 2, num_proc=2)
    assert rows["y"][:] == list(range(1, 3001, 2))


def test_what_a_harmless_function_holds_stays_as_it_is() -> None:
    seen: list[int] = []

    def notes(row):
        seen.append(row["x"])
        return {"count": len(seen)}

    rows = Dataset.from_dict({"x": list(range(3000))}).map(notes, num_proc=2)
    assert len(rows["count"][:]) == 3000 and seen == []


@pytest.mark.parametrize("wanted", [-1.0, 0.0])
def test_the_rows_that_this_process_leaves_are_done_by_workers(monkeypatch, wanted: float) -> None:
    """Batches of two sizes that divide nothing; files of this process and of workers."""
    monkeypatch.setattr("enfold.data.plan.parallel.worth", lambda count: wanted)
    monkeypatch.setattr("enfold.data.plan.parallel._BELIEVED", -1.0)
    monkeypatch.setattr("enfold.data.plan.parallel._BEGIN", 1)
    rows = Dataset.from_dict({"x": list(range(5000))})

    def chain(count):
        return rows.map(lambda batch: {"first": [batch["x"][0]] * len(batch["x"])}, batched=True,
                        batch_size=70, num_proc=count).map(
            lambda row: {"y": row["x"] * 2, "z": None if row["x"] < 4000 else "late"},
            num_proc=count)

    assert chain(2).data.table.equals(chain(None).data.table)


def test_a_function_that_may_harm_is_run_by_a_worker_from_its_first_row() -> None:
    rows = Dataset.from_dict({"x": list(range(10))})
    with pytest.raises(WorkerError, match="exited with code 1"):
        rows.map(exits, num_proc=2)
    here = os.getpid()
    assert here not in rows.map(lambda row: {"pid": os.getpid()}, num_proc=2)["pid"][:]


def test_expressions_and_casts_have_workers_too() -> None:
    import pyarrow.compute as pc

    rows = Dataset.from_dict({"x": list(range(3000))}).map(lambda row: {"y": row["x"]}, num_proc=2)
    assert len(rows.filter(pc.field("y") < 5)) == 5
    assert rows.data.table.column("y").type == pa.int64()
