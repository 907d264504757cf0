"""Datasets put together are those of `datasets`, row by row and draw by draw."""

from __future__ import annotations

import numpy as np
import pytest

import enfold.data as ours
from enfold.data.combine.interleave import interleaved
from enfold.errors import DataError
from tests.data.dataset.worlds import in_file, same, theirs, told


def numbers(lib, count, start=0):
    return lib.Dataset.from_dict({"n": list(range(start, start + count))})


CONCATENATED = {
    "rows": lambda lib, f: lib.concatenate_datasets([in_file(lib, f), in_file(lib, f)]),
    "one": lambda lib, f: lib.concatenate_datasets([in_file(lib, f)]),
    "shuffled": lambda lib, f: lib.concatenate_datasets(
        [in_file(lib, f).shuffle(seed=1), in_file(lib, f).select([3, 3, 1])]),
    "filtered": lambda lib, f: lib.concatenate_datasets(
        [in_file(lib, f).filter(lambda row: row["n"] > 50), in_file(lib, f).take(3)]),
    "other columns": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 3), lib.Dataset.from_dict({"m": ["a"]})]),
    "other order": lambda lib, f: lib.concatenate_datasets(
        [lib.Dataset.from_dict({"a": [1], "b": ["x"]}),
         lib.Dataset.from_dict({"b": ["y"], "a": [2]})]),
    "nulls": lambda lib, f: lib.concatenate_datasets(
        [lib.Dataset.from_dict({"n": [None, None]}), numbers(lib, 2)]),
    "empty lists": lambda lib, f: lib.concatenate_datasets(
        [lib.Dataset.from_dict({"n": [[], []]}), lib.Dataset.from_dict({"n": [[1], [2, 3]]})]),
    "other types": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2), lib.Dataset.from_dict({"n": ["a"]})]),
    "no rows in one": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2).select([]), lib.Dataset.from_dict({"n": ["a"]})]),
    "no rows at all": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2).select([]), numbers(lib, 2).select([])]),
    "formats": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2).with_format("numpy"), numbers(lib, 2).with_format("numpy")]),
    "other formats": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2).with_format("numpy"), numbers(lib, 2)]),
    "split and info": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2), numbers(lib, 2)], info=lib.DatasetInfo(description="x"),
        split=lib.Split.TRAIN),
    "columns": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 57).rename_column("n", "m"), in_file(lib, f)], axis=1),
    "shuffled columns": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 57).rename_column("n", "m").shuffle(seed=2), in_file(lib, f)], axis=1),
    "same columns": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 3), numbers(lib, 3)], axis=1),
    "columns of other lengths": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 3), numbers(lib, 4).rename_column("n", "m")], axis=1),
    "nothing": lambda lib, f: lib.concatenate_datasets([]),
    "dicts": lambda lib, f: lib.concatenate_datasets(
        [lib.DatasetDict({"train": numbers(lib, 2)})]),
    "empty dict": lambda lib, f: lib.concatenate_datasets([lib.DatasetDict()]),
    "lists": lambda lib, f: lib.concatenate_datasets([[1]]),
    "streams among them": lambda lib, f: lib.concatenate_datasets(
        [numbers(lib, 2), numbers(lib, 2).to_iterable_dataset()]),
}


@pytest.mark.parametrize("case", CONCATENATED)
def test_concatenated_as_datasets(case, tmp_path):
    same(*results(CONCATENATED[case], tmp_path))


def results(case, *args):
    found = []
    for lib in (ours, theirs):
        try:
            found.append(told(case(lib, *args)))
        except Exception as error:
            found.append(error)
    return found


LENGTHS = [(3, 3, 3), (3, 4, 5), (1, 7), (2500, 40, 1), (4,)]
PROBABILITIES = [None, [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.0, 0.5, 0.5]]
STRATEGIES = ["first_exhausted", "all_exhausted", "all_exhausted_without_replacement"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("weights", PROBABILITIES, ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_interleaved_as_datasets(lengths, weights, strategy):
    if weights is not None and (len(lengths) != len(weights)
                                or (0.0 in weights and strategy == STRATEGIES[2])):
        pytest.skip("no such draws; datasets goes on for ever with a probability of 0")
    for seed in (0, 42):
        found = results(lambda lib, seed=seed: lib.interleave_datasets(
            [numbers(lib, count, 10_000 * place) for place, count in enumerate(lengths)],
            probabilities=weights, seed=seed, stopping_strategy=strategy))
        same(*found)


def test_interleaved_after_a_shuffle_and_a_map(tmp_path):
    same(*results(lambda lib: lib.interleave_datasets([
        in_file(lib, tmp_path).shuffle(seed=1),
        in_file(lib, tmp_path).map(lambda row: {"n": -row["n"]})], [0.4, 0.6], seed=3)))


WRONG = {
    "strategy": (lambda lib: lib.interleave_datasets([numbers(lib, 2)], stopping_strategy="all"),
                 "one of first_exhausted"),
    "nothing": (lambda lib: lib.interleave_datasets([]), "empty list of datasets"),
    "a dict": (lambda lib: lib.interleave_datasets([lib.DatasetDict(a=numbers(lib, 1))]),
               "pick one to interleave"),
    "an empty dataset": (lambda lib: lib.interleave_datasets(
        [numbers(lib, 3), numbers(lib, 3).select([])], [0.5, 0.5]), r"indices \[1\] are empty"),
    "never drawn": (lambda lib: lib.interleave_datasets(
        [numbers(lib, 3), numbers(lib, 3)], [1.0, 0.0], stopping_strategy="all_exhausted"),
        "never sampled"),
    "probabilities": (lambda lib: lib.interleave_datasets(
        [numbers(lib, 3), numbers(lib, 3)], [0.5, 0.4]), "sum to 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_raises_as_in_datasets(case):
    make, message = WRONG[case]
    with pytest.raises(DataError, match=message):
        make(ours)
    with pytest.raises(ValueError, match=r"."):
        make(theirs)


def test_what_datasets_gets_wrong_raises_or_works():
    with pytest.raises(DataError, match=r"indices \[1\] are empty"):  # theirs: another's rows
        interleaved(np.array([2, 0]), None, None, "all_exhausted")
    with pytest.raises(DataError, match="never sampled"):  # theirs never ends
        interleaved(np.array([2, 1]), [1.0, 0.0], 0, STRATEGIES[2])
    with pytest.raises(DataError, match="axis=2"):
        ours.concatenate_datasets([numbers(ours, 1)], axis=2)
    rows = interleaved(np.array([2, 0]), [0.5, 0.5], 0, STRATEGIES[2])
    assert rows.tolist() == [0, 1]


def test_nothing_runs_and_nothing_is_copied_before_it_is_read(tmp_path):
    first = in_file(ours, tmp_path)
    slow = ours.concatenate_datasets([first] * 40)
    made = slow.map(lambda row: {"k": row["n"]})
    both = ours.concatenate_datasets([made, made])
    assert both.num_rows == 80 * 57
    assert not both.plan.done
    assert both[57 * 40 + 3]["k"] == 3
    shuffled = ours.concatenate_datasets([first, first.shuffle(seed=1)])
    assert len(shuffled.cache_files) == 1
