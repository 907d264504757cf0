"""Rows picked, ordered, split, repeated.  Only row numbers change."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enfold.data.dataset.columns import Columns
from enfold.data.dataset.flattening import flattened, write_rows
from enfold.data.formatting import row_numbers
from enfold.data.frame import Frame
from enfold.data.plan import Reshape
from enfold.errors import DataError

_NULLS_BY_KEY = int(pa.__version__.split(".")[0]) >= 25


class Rows(Columns):
    """What changes rows."""

    def select(self, indices: Iterable[int], keep_in_memory: bool = False,
               indices_cache_file_name: str | None = None,
               writer_batch_size: int | None = 1000,
               new_fingerprint: str | None = None) -> Self:
        """The rows of these numbers, in this order."""
        if self._node.rows == 0:  # nothing to pick from, whatever is asked for
            return self._copy()
        if isinstance(indices, (pa.Array, pa.ChunkedArray)):
            indices = indices.to_numpy()
        rows = row_numbers(indices if isinstance(indices, range) else list(indices)
                           if not isinstance(indices, np.ndarray) else indices, self.num_rows)
        return self._numbered("select", rows, new_fingerprint, indices_cache_file_name)

    def _numbered(self, name: str, rows: Any, fingerprint: str | None = None,
                  path: str | None = None) -> Self:
        stretch = isinstance(rows, range) and rows.step == 1
        if not stretch:
            rows = np.asarray(rows, dtype=np.int64)
            if len(rows) and (np.diff(rows) == 1).all():
                rows, stretch = range(int(rows[0]), int(rows[-1]) + 1), True
        options = (rows.start, rows.stop) if stretch else rows
        node = Reshape([self._node], self._node.features, len(rows), name,
                       lambda frame: frame.select(rows), options)
        start = rows.start if isinstance(rows, range) else 0
        return write_rows(self._with(node, fingerprint), path,  # type: ignore[no-any-return]
                          start)

    def skip(self, n: int) -> Self:
        """Without the first n rows."""
        return self._numbered("skip", range(min(n, self.num_rows), self.num_rows))

    def take(self, n: int) -> Self:
        """The first n rows."""
        return self._numbered("take", range(max(0, min(n, self.num_rows))))

    def repeat(self, num_times: int) -> Self:
        """The rows over and over."""
        if num_times is None:
            raise DataError("Map style datasets do not support indefinite repetition. Expected a "
                            "number. Do: to_iterable_dataset().repeat(None)")
        frames = max(0, num_times)
        node = Reshape([self._node], self._node.features,
                       self._node.rows * frames if self._node.rows is not None else None, "repeat",
                       lambda frame: Frame.below([frame] * frames) if frames
                       else frame.select(range(0)), num_times)
        return self._with(node)

    def shard(self, num_shards: int, index: int, contiguous: bool = True,
              keep_in_memory: bool = False, indices_cache_file_name: str | None = None,
              writer_batch_size: int | None = 1000) -> Self:
        """One of `num_shards` parts: a stretch, or every num_shards-th row."""
        if not 0 <= index < num_shards:
            raise DataError(f"shard: got index={index} of num_shards={num_shards}. index should be "
                            f"in [0, num_shards-1]")
        count = self.num_rows
        if not contiguous:
            return self._numbered("shard", np.arange(index, count, num_shards),
                                  path=indices_cache_file_name)
        size, more = divmod(count, num_shards)
        start = size * index + min(index, more)
        return self._numbered("shard", range(start, start + size + (index < more)),
                              path=indices_cache_file_name)

    def shuffle(self, seed: int | None = None, generator: np.random.Generator | None = None,
                keep_in_memory: bool = False, load_from_cache_file: bool | None = None,
                indices_cache_file_name: str | None = None,
                writer_batch_size: int | None = 1000,
                new_fingerprint: str | None = None) -> Self:
        """The rows in a random order: numpy's PCG64 of `seed`, or `generator`."""
        if self._node.rows == 0:
            return self._copy()
        generator = _generator("shuffle", seed, generator)
        state = copy.deepcopy(generator)
        rows = self._node.rows if seed is not None else self.num_rows
        if seed is None and rows is not None:  # a generator of the caller's goes on from there
            generator.permutation(rows)
        node = Reshape([self._node], self._node.features, rows, "shuffle",
                       lambda frame: frame.select(copy.deepcopy(state).permutation(frame.num_rows)),
                       repr(state.bit_generator.state))
        return write_rows(self._with(node, new_fingerprint),  # type: ignore[no-any-return]
                          indices_cache_file_name)

    def sort(self, column_names: str | Sequence[str], reverse: bool | Sequence[bool] = False,
             null_placement: str = "at_end", keep_in_memory: bool = False,
             load_from_cache_file: bool | None = None,
             indices_cache_file_name: str | None = None, writer_batch_size: int | None = 1000,
             new_fingerprint: str | None = None) -> Self:
        """The rows ordered by columns.  null_placement: "at_start" or "at_end"."""
        if self._node.rows == 0:
            return self._copy()
        names = self._known(column_names, "sort")
        down = [reverse] * len(names) if isinstance(reverse, bool) else list(reverse)
        if len(down) != len(names):
            raise DataError("sort: Parameter 'reverse' should be either a boolean or a list of "
                            f"booleans with the same length as 'column_names': got {len(down)} for "
                            f"{len(names)} columns")
        places = {"first": "at_start", "last": "at_end"}
        place = places.get(null_placement, null_placement)
        if place not in places.values():
            raise DataError(f"sort: null_placement '{null_placement}' is invalid. Expected "
                            "'at_start' or 'at_end'")
        keys = [(name, "descending" if backwards else "ascending")
                for name, backwards in zip(names, down, strict=True)]

        def ordered(frame: Frame) -> Frame:
            return frame.select(_sorted(frame.table(names), keys, place))

        node = Reshape([self._node], self._node.features, self._node.rows, "sort", ordered,
                       (keys, place))
        return write_rows(self._with(node, new_fingerprint),  # type: ignore[no-any-return]
                          indices_cache_file_name)

    def flatten_indices(self, keep_in_memory: bool = False, cache_file_name: str | None = None,
                        writer_batch_size: int | None = 1000, features: Any = None,
                        disable_nullable: bool = False, num_proc: int | None = None,
                        new_fingerprint: str | None = None) -> Self:
        """The rows written in the order that they have now, so that they are read without jumps.

        disable_nullable: no difference can be seen, as in `datasets`; None stays None.
        """
        other = self._with(flattened(self._node, keep_in_memory, cache_file_name), new_fingerprint)
        return other.cast(features) if features is not None else other

    def train_test_split(self, test_size: float | int | None = None,
                         train_size: float | int | None = None, shuffle: bool = True,
                         stratify_by_column: str | None = None, seed: int | None = None,
                         generator: np.random.Generator | None = None,
                         keep_in_memory: bool = False, load_from_cache_file: bool | None = None,
                         train_indices_cache_file_name: str | None = None,
                         test_indices_cache_file_name: str | None = None,
                         writer_batch_size: int | None = 1000,
                         train_new_fingerprint: str | None = None,
                         test_new_fingerprint: str | None = None) -> Any:
        """A `DatasetDict` with "train" and "test", of fractions or numbers of rows."""
        from enfold.data.dataset.splitting import split_rows
        from enfold.data.dict import DatasetDict

        made: Any = DatasetDict
        if not len(self):
            return made({"train": self, "test": self})
        drawn = _generator("train_test_split", None if generator else seed, generator) \
            if shuffle else None
        train, test = split_rows(self, test_size, train_size, shuffle, stratify_by_column, drawn)
        return made({
            "train": self._numbered("train split", train, train_new_fingerprint,
                                    train_indices_cache_file_name),
            "test": self._numbered("test split", test, test_new_fingerprint,
                                   test_indices_cache_file_name)})

    def add_item(self, item: dict[str, Any], new_fingerprint: str | None = None) -> Self:
        """With a row more at the end."""
        from enfold.data.dataset.adding import with_item

        return with_item(self, item, new_fingerprint)  # type: ignore[no-any-return]


def _generator(what: str, seed: int | None,
               generator: np.random.Generator | None) -> np.random.Generator:
    if seed is not None and generator is not None:
        raise DataError(f"{what}: got both seed= and generator=. Expected one. Both `seed` and "
                        "`generator` were provided")
    if generator is not None:
        if not isinstance(generator, np.random.Generator):
            raise DataError(f"{what}: generator= is {type(generator).__name__}. The provided "
                            "generator must be an instance of numpy.random.Generator")
        return generator
    if seed is None:  # follows np.random.seed, as in datasets
        state: Any = np.random.get_state(legacy=True)
        _, keys, position, *_ = state
        seed = int(keys[position] if position < 624 else keys[0])
        np.random.random()
    return np.random.default_rng(seed)


def _sorted(table: pa.Table, keys: list[tuple[str, str]], nulls: str) -> np.ndarray:
    """Row numbers in the order of the keys: [(column, "ascending" or "descending")]."""
    if _NULLS_BY_KEY:
        placed: Any = [(*key, nulls) for key in keys]
        return np.asarray(pc.sort_indices(table, sort_keys=placed)).view(np.int64)
    return np.asarray(pc.sort_indices(table, sort_keys=keys, null_placement=nulls)).view(np.int64)
