"""Digests of many things, printed as JSON: run in several processes by test_processes.py."""

# the things hold sets, closures, bound methods, ... whose order or address differs by process
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import logging
import random
import re
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from pathlib import Path

import numpy as np

import enfold
from enfold.data.fingerprint import digest, freeze

RATE = {"b": 1.5, "a": {"x", "y", "z"}}
logger = logging.getLogger(__name__)


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"

    def text(self):
        return f"{self.value}{RATE}"


@dataclasses.dataclass
class Row:
    name: str
    tags: set[str] = dataclasses.field(default_factory=set)

    def scale(self, x, by=2):
        logger.info("scaled")
        return x * by, self.tags


Point = namedtuple("Point", "x y")


class Node:
    """Holds its parent: a ring."""

    def __init__(self, parent=None):
        self.parent, self.children = parent, set()

    def add(self, name):
        child = Node(self)
        child.name = name
        self.children.add(child)
        return self


def odd(n):
    return n > 0 and even(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


@functools.lru_cache
def remembered(n):
    return RATE, n


def outer(value):
    seen = {value, "other", 3}

    def inner(x, y=RATE, *, z="z"):
        """Has a docstring."""
        return [x in seen and word in {"p", "q", "r"} for word in y], z, np.mean(x)

    return inner


def things(folder):
    words = {f"word{i}" for i in range(50)}
    tokenizer = enfold.AutoTokenizer.from_pretrained(folder)
    return {
        "words": words, "frozen": frozenset(words), "dict": dict.fromkeys(words, 1),
        "nested": {("a", 1): [words, {2: words}]}, "counter": Counter(words),
        "ordered": OrderedDict(a=1), "default": defaultdict(list, a=[1]), "deque": deque([1], 3),
        "scalars": [1, 1.5, None, True, "é", b"x", 2**80, 1j, ..., range(3), slice(1, 2)],
        "times": [datetime.datetime(2024, 1, 2), datetime.timedelta(3), datetime.UTC],
        "decimal": decimal.Decimal("1.5"), "path": Path("a/b"), "pattern": re.compile("a+", re.I),
        "enum": Colour.RED, "enums": Colour, "row": Row("n", set(words)), "class": Row,
        "point": Point(1, 2), "ring": Node().add("a").add("b").add("c"),
        "odd": odd, "even": even, "mutual": [odd, even], "lru": remembered,
        "closure": outer("v"), "frozen closure": freeze(outer("v")),
        "lambda": lambda x: (x, RATE, Colour.BLUE.text()), "bound": Row("n", {"t"}).scale,
        "partial": functools.partial(outer("v"), 1, z=words), "library": [np.mean, json.dumps],
        "random": [random.random, random.randint, np.random.rand, random.Random(3)],
        "numpy": [np.arange(6).reshape(2, 3), np.float32(2), np.array(["a", "bb"]),
                  np.array([{"a"}, None]), np.random.default_rng(3), np.dtype("f4")],
        "tokenizer": tokenizer,
        "tokenizes": lambda rows: tokenizer(rows["text"], truncation=True),
    }


def heavy_things():
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.25))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": pd.Categorical(list("uvu")),
                          "d": pd.to_datetime(["2024-01-01"] * 3), "e": [1, "o", None]})
    return {
        "pandas": [frame, frame["b"], frame.index, frame.set_index("b"), pd.Timestamp("2024")],
        "polars": pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], []]}),
        "arrow": [pa.table({"a": [1, None], "b": [{"x": [1.5]}, None]}), pa.schema({"a": "int8"})],
        "torch": [torch.arange(3), torch.ones(2, dtype=torch.bfloat16), torch.float16],
        "model": model, "model method": model.forward, "model closure": lambda x: model(x),
    }


def main():
    found = things(sys.argv[1]) | (heavy_things() if "heavy" in sys.argv else {})
    if "use" in sys.argv:
        found["tokenizer"](["some text", "more of it"], padding=True, truncation=True, max_length=4)
        remembered(3), odd(5)
    print(json.dumps({name: digest(thing) for name, thing in found.items()}))


if __name__ == "__main__":
    main()
