"""`interleave_datasets`: rows of several datasets in turn, or drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from enfold.data.combine.checks import are_streams
from enfold.data.combine.concatenate import concatenate
from enfold.data.dataset import Dataset
from enfold.data.info import DatasetInfo
from enfold.data.splits import NamedSplit
from enfold.data.streaming import IterableDataset
from enfold.errors import DataError, nearest

FIRST, ALL, ONCE = "first_exhausted", "all_exhausted", "all_exhausted_without_replacement"
_STRATEGIES = (FIRST, ALL, ONCE)
_DRAWS = 1000  # numbers drawn at once, as in `datasets`: the same seed gives the same rows

AnyDataset = TypeVar("AnyDataset", Dataset, IterableDataset)
Probabilities = Sequence[float] | None


def interleave_datasets(datasets: Sequence[AnyDataset], probabilities: Probabilities = None,
                        seed: int | None = None, info: DatasetInfo | None = None,
                        split: NamedSplit | None = None,
                        stopping_strategy: str = FIRST) -> AnyDataset:
    """A row of each dataset in turn, or each of a dataset drawn with its probability.

    stopping_strategy: "first_exhausted" ends with the first dataset that ends; "all_exhausted" when
    each has ended once, those that end before beginning again;
    "all_exhausted_without_replacement" when each row was given once.  seed: of the draws.
    """
    streams = are_streams(datasets, "interleave")
    if stopping_strategy not in _STRATEGIES:
        near = nearest(stopping_strategy, _STRATEGIES)
        raise DataError(f"{stopping_strategy} is not supported{near}. Please enter a valid "
                        f"stopping_strategy, one of {', '.join(_STRATEGIES)}")
    found: Any = list(datasets)
    if streams:
        from enfold.data.streaming.combine import interleave_iterable

        found = interleave_iterable(found, probabilities, seed, info, split, stopping_strategy)
    else:
        lengths = np.array([len(dataset) for dataset in found])
        rows = interleaved(lengths, probabilities, seed, stopping_strategy)
        found = concatenate(found, info, split, 0).select(rows)
    return found  # type: ignore[no-any-return]


def interleaved(lengths: np.ndarray, probabilities: Probabilities, seed: int | None,
                stopping: str) -> np.ndarray:
    """Row numbers of the datasets put one below the other, in the order of the result."""
    if stopping == ALL and not lengths.all() and lengths.any():
        raise DataError(f"interleave_datasets: {_empty(lengths)}, and can't be repeated until all "
                        f"are exhausted. Do: leave these out, or stopping_strategy={ONCE!r}")
    if probabilities is None:
        return _in_turn(lengths, stopping)
    return _drawn(lengths, _checked(probabilities, lengths, stopping), seed, stopping)


def _in_turn(lengths: np.ndarray, stopping: str) -> np.ndarray:
    rounds = int(lengths.min() if stopping == FIRST else lengths.max())
    numbers = np.broadcast_to(np.arange(rounds)[:, None], (rounds, len(lengths)))
    rows = numbers % np.maximum(lengths, 1) + _offsets(lengths)
    return np.asarray(rows[numbers < lengths] if stopping == ONCE else rows.ravel())


def _drawn(lengths: np.ndarray, probabilities: np.ndarray, seed: int | None,
           stopping: str) -> np.ndarray:
    offsets, drawable = _offsets(lengths), probabilities > 0
    draws = _until(lengths, probabilities, seed, stopping)
    rows = np.empty(len(draws), dtype=np.int64)
    ends, kept = [], np.ones(len(draws), dtype=bool)
    for source in np.flatnonzero(drawable):
        places = np.flatnonzero(draws == source)
        length = lengths[source]
        rows[places] = np.arange(len(places)) % max(length, 1) + offsets[source]
        kept[places[length:]] = False
        if len(places) >= length > 0:
            ends.append(int(places[length - 1]))
    if stopping == ONCE:
        return rows[kept]
    return rows[:(min if stopping == FIRST else max)(ends, default=-1) + 1]


def _until(lengths: np.ndarray, probabilities: np.ndarray, seed: int | None,
           stopping: str) -> np.ndarray:
    """Draws, until the first dataset or all of them were drawn as often as they have rows."""
    drawable = probabilities > 0
    counts, found = np.zeros(len(lengths), dtype=np.int64), [np.zeros(0, dtype=np.int64)]
    blocks = _blocks(probabilities, seed)
    while not (any if stopping == FIRST else all)((counts >= lengths)[drawable]):
        found.append(next(blocks))
        counts += np.bincount(found[-1], minlength=len(lengths))
    return np.concatenate(found)


def _blocks(probabilities: np.ndarray, seed: int | None) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    while True:
        yield generator.choice(len(probabilities), size=_DRAWS, p=probabilities)


def _checked(probabilities: Sequence[float], lengths: np.ndarray, stopping: str) -> np.ndarray:
    """The probabilities, if the datasets can be drawn with them until the end."""
    found = np.asarray(probabilities, dtype=np.float64)
    if len(found) != len(lengths) or (found < 0).any() or not np.isclose(found.sum(), 1):
        raise DataError(f"interleave_datasets: probabilities={list(probabilities)} for "
                        f"{len(lengths)} datasets. Expected one for each, which sum to 1")
    if stopping != ONCE and not lengths[found > 0].all():
        raise DataError("interleave_datasets with probabilities requires every dataset that can be "
                        f"sampled (probability > 0) to be non-empty; {_empty(lengths)}. Do: leave "
                        "these out")
    if stopping != FIRST and (lengths[found == 0] > 0).any():
        never = np.flatnonzero((found == 0) & (lengths > 0)).tolist()
        raise DataError(f"interleave_datasets with stopping_strategy={stopping!r} cannot exhaust a "
                        f"dataset that is never sampled; datasets at indices {never} have "
                        f"probability 0. Do: leave these out, or stopping_strategy={FIRST!r}")
    return found


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum([0, *lengths[:-1]])


def _empty(lengths: np.ndarray) -> str:
    return f"datasets at indices {np.flatnonzero(lengths == 0).tolist()} are empty"
