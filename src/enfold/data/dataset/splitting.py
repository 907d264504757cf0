"""Row numbers of a training and a test part, drawn as `datasets` and scikit-learn draw them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from enfold.data.features import ClassLabel
from enfold.errors import DataError, nearest

Numbers = np.ndarray | range
Size = float | int | None


def split_rows(dataset: Any, test_size: Size, train_size: Size, shuffle: bool,
               stratify_by_column: str | None,
               generator: np.random.Generator | None) -> tuple[Numbers, Numbers]:
    """(rows of the training part, rows of the test part).

    Sizes are fractions or numbers of rows; the test part has a quarter by default.  stratify: a
    column of labels, each of which is in both parts as often as in all.  generator: of the order;
    not looked at without `shuffle`.  Raises `DataError` where a part would be empty.
    """
    rows = len(dataset)
    train, test = _sizes(test_size, train_size, rows)
    if not shuffle:
        if stratify_by_column is not None:
            raise DataError("train_test_split: Stratified train/test split is not implemented for "
                            "`shuffle=False`: got stratify_by_column="
                            f"{stratify_by_column!r}. Do: shuffle=True")
        return range(train), range(train, train + test)
    assert generator is not None
    if stratify_by_column is not None:
        labels = _labels(dataset, stratify_by_column)
        return _stratified(labels, stratify_by_column, train, test, generator)
    drawn = generator.permutation(rows)
    return drawn[test:test + train], drawn[:test]


def _sizes(test_size: Size, train_size: Size, rows: int) -> tuple[int, int]:
    """(rows to train on, rows to test on)."""
    if test_size is None and train_size is None:
        test_size = 0.25
    _checked("test_size", test_size, rows)
    _checked("train_size", train_size, rows)
    if isinstance(train_size, float) and isinstance(test_size, float) \
            and train_size + test_size > 1:
        raise DataError("train_test_split: The sum of test_size and train_size = "
                        f"{train_size + test_size}, should be in the (0, 1) range. Reduce "
                        "test_size and/or train_size")
    test = math.ceil(test_size * rows) if isinstance(test_size, float) else test_size
    train = math.floor(train_size * rows) if isinstance(train_size, float) else train_size
    train = rows - (test or 0) if train is None else train
    test = rows - train if test is None else test
    if train + test > rows:
        raise DataError(f"train_test_split: The sum of train_size and test_size = {train + test}, "
                        f"should be smaller than the number of samples {rows}. Reduce test_size "
                        "and/or train_size")
    if train == 0:
        raise DataError(f"train_test_split: With n_samples={rows}, test_size={test_size} and "
                        f"train_size={train_size}, the resulting train set will be empty. Do: "
                        "adjust one of them")
    return train, test


def _checked(name: str, size: Any, rows: int) -> None:
    if size is None:
        return
    if not isinstance(size, (int, float)):
        raise DataError(f"train_test_split: Invalid value for {name}: {size} of type {type(size)}. "
                        "Expected a fraction or a number of rows")
    if not 0 < size < (1 if isinstance(size, float) else rows):
        raise DataError(f"train_test_split: {name}={size} should be either positive and smaller "
                        f"than the number of samples {rows} or a float in the (0, 1) range")


def _labels(dataset: Any, column: str) -> np.ndarray:
    feature = dataset.features.get(column)
    if feature is None:
        raise DataError(f"train_test_split: Key {column} not found in {dataset.column_names}"
                        f"{nearest(column, dataset.column_names)}. Expected a column of labels")
    if not isinstance(feature, ClassLabel):
        raise DataError("train_test_split: Stratifying by column is only supported for ClassLabel "
                        f"column, and column {column} is {type(feature).__name__}. Do: "
                        f"class_encode_column({column!r}) before")
    return np.asarray(dataset._frame.column(column).to_numpy())


def _stratified(labels: np.ndarray, column: str, train: int, test: int,
                generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    found, kinds, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise DataError(f"train_test_split: The least populated class in {column} column has only "
                        "1 member, which is too few. The minimum number of groups for any class "
                        "cannot be less than 2")
    for name, size in (("train_size", train), ("test_size", test)):
        if size < len(found):
            raise DataError(f"train_test_split: The {name} = {size} should be greater or equal to "
                            f"the number of classes = {len(found)}")
    members = np.split(np.argsort(kinds, kind="stable"), np.cumsum(counts)[:-1])
    to_train = _shares(counts, train, generator)
    to_test = _shares(counts - to_train, test, generator)
    trained, tested = [], []
    for rows, first, second in zip(members, to_train, to_test, strict=True):
        drawn = rows[generator.permutation(len(rows))]
        trained.append(drawn[:first])
        tested.append(drawn[first:first + second])
    return (generator.permutation(np.concatenate(trained)),
            generator.permutation(np.concatenate(tested)))


def _shares(counts: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """How many of `total` go to each class, in proportion to its count.

    What rounding down leaves over goes to the largest remainders; those that are equal draw lots.
    """
    exact = total * counts / counts.sum()
    shares = np.floor(exact)
    remainders = exact - shares
    left = int(total - shares.sum())
    for remainder in np.unique(remainders)[::-1]:
        if left <= 0:
            break
        equal = np.flatnonzero(remainders == remainder)
        chosen = generator.choice(equal, size=min(len(equal), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return np.asarray(shares, dtype=np.int64)
