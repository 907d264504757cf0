"""A `tf.data.Dataset` over the rows of a dataset, read and collated in Python."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from enfold.errors import DataError
from enfold.lazy import require

Collate = Callable[..., Mapping[str, Any]]
_LABELS = ("label", "label_ids", "labels")  # kept for collators that rename them


def to_tf(dataset: Any, batch_size: int | None, columns: str | Sequence[str] | None, shuffle: bool,
          collate_fn: Collate | None, drop_remainder: bool,
          collate_fn_args: Mapping[str, Any] | None, label_cols: str | Sequence[str] | None,
          prefetch: bool, num_workers: int, num_test_batches: int) -> Any:
    """As `Dataset.to_tf_dataset` says."""
    tf = require("tensorflow")
    names, labels = _names("columns", columns), _names("label_cols", label_cols)
    if labels and not names:
        raise DataError("to_tf_dataset: Cannot specify label_cols without specifying columns!")
    if num_workers < 0:
        raise DataError(f"to_tf_dataset: got num_workers={num_workers}. num_workers must be >= 0")
    _warn_of_lists(columns, label_cols)
    shown = dataset if dataset.format["type"] in ("custom", "numpy") else \
        dataset.with_format("numpy")
    kept = {*names, *labels, *_LABELS} if names else None
    reader = _Reader(shown, kept, collate_fn or collated, dict(collate_fn_args or {}))
    specs = reader.look(batch_size if drop_remainder else None, num_test_batches, tf)
    names, labels = _renamed(names, specs), _renamed(labels, specs)
    for name in (*names, *labels):
        if name not in specs:
            raise DataError(f"to_tf_dataset: Column {name} not found in dataset! It and the "
                            f"collate function give {list(specs)}")
    stream = _stream(tf, reader, specs, batch_size, shuffle, drop_remainder, num_workers)
    if names:
        stream = stream.map(lambda batch: _parted(batch, names, labels))
    return stream.prefetch(tf.data.AUTOTUNE) if prefetch else stream


def collated(rows: Any) -> dict[str, Any]:
    """A list of rows as a dict of arrays."""
    if isinstance(rows, Mapping):
        return dict(rows)
    return {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}


class _Reader:
    """Reads batches by row numbers.  dtypes: of the columns that come out, in order."""

    def __init__(self, dataset: Any, kept: set[str] | None, collate: Collate,
                 options: dict[str, Any]) -> None:
        self.dataset, self.kept, self.collate, self.options = dataset, kept, collate, options
        self.dtypes: dict[str, Any] = {}

    def look(self, batch_size: int | None, count: int, tf: Any) -> dict[str, Any]:
        """The TensorSpec of each column, as `count` random rows show it."""
        rows = len(self.dataset)
        if not rows:
            raise DataError("to_tf_dataset: Unable to get the output signature because the dataset "
                            "is empty. Expected rows")
        batches = [self._batch(np.array([random.randrange(rows)])) for _ in range(count)]
        specs = {}
        for name in batches[0]:
            arrays = [np.asarray(batch[name]) for batch in batches]
            self.dtypes[name], dtype = _dtypes(name, arrays[0].dtype, tf)
            sizes = [set(lengths) for lengths in zip(*(one.shape for one in arrays), strict=False)]
            shape = [batch_size if batch_size is None else min(batch_size, rows),
                     *(size.pop() if len(size) == 1 else None for size in sizes[1:])]
            specs[name] = tf.TensorSpec(shape=shape[:max(1, len(sizes))], dtype=dtype)
        return specs

    def __call__(self, numbers: Any) -> list[np.ndarray]:
        """The columns of the rows of these numbers, or of one row."""
        numbers = numbers.numpy()
        batch = self._row(int(numbers)) if numbers.ndim == 0 else self._batch(numbers)
        return [np.asarray(batch[name]).astype(dtype) for name, dtype in self.dtypes.items()]

    def _batch(self, numbers: np.ndarray) -> Mapping[str, Any]:
        batch = self._shown(self.dataset[numbers])
        rows = [{name: values[index] for name, values in batch.items()}
                for index in range(len(numbers))]
        return self.collate(rows, **self.options)

    def _row(self, number: int) -> Mapping[str, Any]:
        return self.collate(self._shown(self.dataset[number]), **self.options)

    def _shown(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values for name, values in batch.items()
                if self.kept is None or name in self.kept}


def _stream(tf: Any, reader: _Reader, specs: dict[str, Any], batch_size: int | None,
            shuffle: bool, drop_remainder: bool, num_workers: int) -> Any:
    rows = len(reader.dataset)
    stream = tf.data.Dataset.range(rows)
    if shuffle:
        stream = stream.shuffle(rows)  # of row numbers, anew in each epoch
    if batch_size is not None:
        stream = stream.batch(batch_size, drop_remainder=drop_remainder)
    types = [spec.dtype for spec in specs.values()]

    def fetched(numbers: Any) -> dict[str, Any]:
        found = tf.py_function(reader, inp=[numbers], Tout=types)
        shapes = [spec.shape if batch_size is not None else spec.shape[1:]
                  for spec in specs.values()]
        return {name: tf.ensure_shape(tensor, shape)
                for name, tensor, shape in zip(specs, found, shapes, strict=True)}

    return stream.map(fetched, num_parallel_calls=num_workers or None)


def _dtypes(name: str, dtype: np.dtype[Any], tf: Any) -> tuple[Any, Any]:
    """(numpy's, TensorFlow's) type of a column: 64-bit integers, 32-bit floats or strings."""
    if np.issubdtype(dtype, np.integer) or dtype.kind == "b":
        return np.int64, tf.int64
    if np.issubdtype(dtype, np.number):
        return np.float32, tf.float32
    if dtype.kind == "U":
        return np.str_, tf.string
    raise DataError(f"to_tf_dataset: column {name!r} has values of the numpy type {dtype}. "
                    "Expected numbers, booleans or strings: Nested types and image/audio types are "
                    "not supported yet. Do: make arrays of them in a collate_fn, or leave the "
                    "column out of columns=")


def _names(what: str, given: str | Sequence[str] | None) -> list[str]:
    names = [given] if isinstance(given, str) else list(given or [])
    if len(set(names)) < len(names):
        raise DataError(f"to_tf_dataset: List of {what} contains duplicates: {names}")
    return names


def _renamed(names: list[str], specs: Mapping[str, Any]) -> list[str]:
    """Where a collator made "labels" of a label column, its new name."""
    if "labels" in specs and "labels" not in names and {"label", "label_ids"} & set(names):
        return [name for name in names if name not in ("label", "label_ids")] + ["labels"]
    return names


def _parted(batch: Mapping[str, Any], names: Sequence[str], labels: Sequence[str]) -> Any:
    """(columns, labels), each a dict, or a tensor if it is one column."""
    parts = [{name: batch[name] for name in batch if name in chosen}
             for chosen in (names, labels)]
    inputs, targets = [next(iter(part.values())) if len(part) == 1 else part for part in parts]
    return (inputs, targets) if labels else inputs


def _warn_of_lists(columns: Any, label_cols: Any) -> None:
    if any(not isinstance(one, str) and one is not None and len(one) == 1
           for one in (columns, label_cols)):
        warnings.warn("The output of `to_tf_dataset` will change when a list of one column is "
                      "given: it will be a dict then. Do: give a name alone for a tensor alone",
                      FutureWarning, stacklevel=4)
