"""Functions that a run of several processes may begin in the caller's process, and that it does."""

from __future__ import annotations

import ctypes
import json
import logging
import math
import operator
import os
import random
import re
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models
from torch.nn import functional

from enfold.data import Dataset
from enfold.data.executor import WorkerError
from enfold.data.executor.process import pool
from enfold.data.plan.call import Call, Format
from enfold.data.plan.tame import tame
from enfold.errors import DataError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are POSIX only")
PATTERN, TABLE = re.compile("a+"), {"a": 1, "deep": [{"b": (2, None)}]}
OBJECTS = np.array([len, print])
WEIGHT = torch.ones(3)
TOKENIZER = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))


class Callable:
    """An object with everything that a user's may have."""

    WORDS = ("a", "b")

    def __init__(self, tokenizer=TOKENIZER, size=3):
        self._tokenizer, self.size, self.seen = tokenizer, size, {"a": [1, 2]}

    def __call__(self, row):
        return {"n": [*self._parts(row["text"])]}

    def method(self, row):
        return {"n": type(self).__name__, "kind": Kind.ONE.name, "point": Point(1, 2).x}

    def _parts(self, text):
        for part in text.split():
            yield self._tokenizer.encode(part).ids[:self.size]

    @property
    def words(self):
        return self.WORDS

    @classmethod
    def made(cls, row):
        return {"n": cls().size}


class Inherits(Callable):
    def __call__(self, row):
        return super().__call__(row)


class Kind(Enum):
    ONE = 1


@dataclass
class Point:
    x: int
    y: int = 0
    more: list = field(default_factory=list)


class Pair(NamedTuple):
    x: int
    y: int = 0


class Ends(Callable):
    def _parts(self, text):
        os._exit(1)


class Counts:
    seen: ClassVar = {}

    def __call__(self, row):
        return {"n": len(self.seen)}

    @classmethod
    def sets(cls, row):
        cls.last = row


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


def imports(row):
    from os.path import basename

    import numpy as np

    return {"x": np.sqrt(2.0), "y": basename(row["path"])}


def imports_os(row):
    import os

    return {"x": os.path.sep}


def imports_the_end(row):
    from os import _exit

    _exit(1)


def draws(row):
    import torch

    return {"x": torch.rand(3)}


def is_recursive(row):
    return is_recursive(row[1:]) if row else uses_libraries(row)


@lru_cache
def cached(text):
    return text.lower()


@lru_cache
def cached_end(text):
    os.abort()


def looks_at_files(row):
    with open(os.path.join(os.fspath("a"), row["path"])) as file:
        print(file.read(), file=sys.stderr)
    return {"size": os.stat(row["path"]).st_size, "suffix": Path(row["path"]).suffix}


def hands_on_os(row, module=os):
    return module.getpid()


@pytest.mark.parametrize("function", [
    uses_libraries, partial(uses_libraries), lambda row, n=2: {"n": len(row["text"]) * n},
    lambda row: {"ids": TOKENIZER.encode(row["text"]).ids}, TOKENIZER.encode, str.lower, len,
    np.mean, np.add, lambda batch: {"n": list(map(str.upper, batch["text"]))},
    Callable(), Callable().method, Callable.made, Inherits(), lambda row: Callable()(row),
    lambda row: {"x": Pair(1).y}, makes_a_class, imports, is_recursive, cached, looks_at_files,
    lambda row: {"x": [pow(x, 2) for x in row["x"]], "r": random.Random(3).choice("ab")},
    lambda row, held=defaultdict(list): held, np.vectorize(helper),
    lambda row: {"x": pandas.Series(row["x"]).rank().tolist(), "y": pc.utf8_lower(row["y"])},
    lambda row: {"x": torch.tensor(row["x"]).float().softmax(0), "y": functional.relu(WEIGHT)},
    lambda row: {"x": Image.open(row["path"]).size}, logging.getLogger("a").info, np.array([1]).sum,
])
def test_harmless(function) -> None:
    assert tame(Call(function))


@pytest.mark.parametrize("function", [
    exits, kills, crashes, escapes, waits, Ends(), Inherits(Ends()), Counts(), Counts.sets,
    lambda row: exits(row), lambda row: Ends(), partial(max, exits), exit, eval, os.kill, os._exit,
    lambda row: {"x": random.random()}, lambda row: {"x": np.random.rand()}, draws, torch.rand,
    lambda row: exec("1"), lambda row: getattr(row, row), cached_end, hands_on_os,
    lambda row: max([os]), lambda row: json.decoder.os, lambda row: {"pid": os.getpid()},
    lambda row, held=OBJECTS: held, lambda row, held=({"deep": [exits]},): held,
    lambda row, held=defaultdict(exits): held, np.vectorize(exits), imports_os, imports_the_end,
    lambda row: threading.Thread(), lambda row: sys.exit(), lambda row: WEIGHT.to("cuda:0"),
    lambda row, device="cuda": WEIGHT.to(device), torch.nn.Linear(1, 1), torch.device("cuda"),
    lambda row: setattr(Callable, "WORDS", row), operator.attrgetter("a"), SystemExit,
    lambda row: functional.dropout(WEIGHT), logging.getLogger("a").setLevel,
])
def test_not_known_to_be_harmless(function) -> None:
    assert not tame(Call(function))


@pytest.mark.parametrize("name", ["transformers.AutoTokenizer", "enfold.AutoTokenizer"])
def test_tokenizers_are_harmless(name: str, tmp_path) -> None:
    library, _, cls = name.partition(".")
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "?"}')
    tokenizer = getattr(pytest.importorskip(library), cls).from_pretrained(tmp_path)
    assert tame(Call(lambda batch: tokenizer(batch["text"], truncation=True)))


def test_what_torch_makes_of_rows_is_known_in_memory() -> None:
    assert tame(Call(len, format=Format("numpy"))) and tame(Call(len, format=Format("torch")))
    assert not tame(Call(len, format=Format("torch", kwargs={"device": "cuda"})))
    assert not tame(Call(len, format=Format("jax")))
    with torch.device("meta"):
        assert not tame(Call(len, format=Format("torch")))
    assert not tame(Call(len, format=Format("custom", kwargs={"transform": exits})))
    assert not tame(Call(len, fn_kwargs={"other": exits}))


def test_what_is_harmless_and_cannot_be_sent_is_named() -> None:
    with open(os.devnull) as held:
        rows = Dataset.from_dict({"x": [1, 2]})
        with pytest.raises(DataError, match=r"captured variable 'held', a _io.TextIOWrapper"):
            rows.map(lambda row: {"y": held.name}, num_proc=2)


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
