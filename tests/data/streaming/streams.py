"""Streams made by enfold and by datasets alike, and a check that one resumes anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa

from enfold.data.streaming import IterableDataset

TABLE = pa.table({"i": range(2300), "b": [str(number) for number in range(2300)]})


def rows(shards: list[int], count: int = 23) -> Any:
    """Rows of shards of different lengths."""
    for shard in shards:
        for number in range(count + shard):
            yield {"shard": shard, "i": number}


def generated(shards: int = 4) -> IterableDataset:
    return IterableDataset.from_generator(rows, gen_kwargs={"shards": list(range(shards))})


def tabled(shards: int = 3, rows: int = 2300) -> IterableDataset:
    return IterableDataset.from_frame(TABLE.slice(0, rows), num_shards=shards)


BASES: dict[str, Callable[[], IterableDataset]] = {
    "rows": generated, "tables": tabled, "many": partial(tabled, 12, 700)}


def theirs(base: str) -> Any:
    """The same stream made by datasets."""
    import datasets
    if base == "rows":
        return datasets.IterableDataset.from_generator(rows,
                                                       gen_kwargs={"shards": [0, 1, 2, 3]})
    table, shards = (TABLE, 3) if base == "tables" else (TABLE.slice(0, 700), 12)
    return datasets.Dataset(table).to_iterable_dataset(num_shards=shards)


def through_json(state: Any) -> Any:
    return json.loads(json.dumps(state))


def resumes(make: Callable[[], Any], stops: list[int] | None = None,
            read: Callable[[Any], Any] = iter) -> list[Any]:
    """All rows, after checking that passes resumed twice give them too."""
    whole = list(read(make()))
    count = len(whole)
    for stop in stops or sorted({1, 2, 7, count // 3, count - 1, count} & set(range(1, count + 1))):
        first = make()
        seen = list(islice(read(first), stop))
        second = make()
        second.load_state_dict(through_json(first.state_dict()))
        seen += islice(read(second), 5)
        third = make()
        third.load_state_dict(through_json(second.state_dict()))
        seen += read(third)
        assert repr(seen) == repr(whole), f"resumed after {stop} of {count}"
    return whole
