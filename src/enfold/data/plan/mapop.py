"""`map` as a step: what a function returned for a batch, merged with the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from enfold.data.features import (
    CastError,
    Features,
    arrow_type,
    cast_array,
    promote,
    to_array,
)
from enfold.data.features.arrow import feature_of
from enfold.data.features.build import infer
from enfold.data.features.mixed import infer_mixed
from enfold.data.features.promote import is_null
from enfold.data.frame.gather import joined
from enfold.data.plan.call import Call
from enfold.data.plan.chunk import Chunk, Result
from enfold.data.plan.given import (
    Outcome,
    quick,
    reads,
    run_batch,
    run_plain,
    run_reading,
    run_rows,
)
from enfold.data.plan.ops import UserOp
from enfold.errors import FunctionError


class MapOp(UserOp):
    """`map`.  given: the features asked for; removed: columns to leave out; mixed: whether values
    of several types become Json."""

    def __init__(self, call: Call, size: int | None, *, drop_last: bool = False,
                 given: Features | None = None, removed: tuple[str, ...] = (),
                 try_original_type: bool = True, mixed: bool = False) -> None:
        super().__init__(call, size, drop_last)
        self.mixed = mixed
        self.given, self.removed, self.try_original_type = given, removed, try_original_type
        self.out: Features | None = None  # of what comes out, once something did
        self.silent = False  # whether the function returns None

    def apply(self, chunk: Chunk, start: int) -> Result:
        """The rows with what the function returned for them."""
        try:
            outcome = self._outcome(chunk, start)
        except Exception as error:
            self.noted(error, start, chunk)
            raise
        if outcome.columns is None:
            return self._nothing(chunk)
        if self.silent:
            raise FunctionError(f"{self.call.what}: {self.call.name} returned columns for rows "
                                f"from {start} on and None before. Expected one or the other")
        return self._merged(chunk, outcome, start)

    def _outcome(self, chunk: Chunk, start: int) -> Outcome:
        names = reads(self.call, chunk.features)
        if names is not None:
            return run_reading(self.call, chunk, names, start)
        table = chunk.table()
        if self.call.batched:
            return run_batch(self.call, self.view(chunk.features), table, start)
        if quick(self.call, chunk.features):
            return run_plain(self.call, table, start)
        return run_rows(self.call, self.view(chunk.features), table, start)

    def _nothing(self, chunk: Chunk) -> Result:
        if self.out is not None and not self.silent:
            raise FunctionError(f"{self.call.what}: {self.call.name} returned None for a batch and "
                                "columns before. Expected one or the other")
        self.out, self.silent = chunk.features, True
        names = {name: name for name in chunk.columns}
        return Result(chunk.num_rows, chunk.num_rows, names, chunk.features)

    def _merged(self, chunk: Chunk, outcome: Outcome, start: int) -> Result:
        returned = dict(outcome.columns or {})
        gone = {*self.removed, *outcome.removed}
        if outcome.same:
            returned = {name: values for name, values in returned.items() if name not in gone}
        kept = [name for name in chunk.columns if name not in gone and not outcome.alone]
        known = set(kept) | (outcome.altered.keys() - set(chunk.columns))
        fresh = {name: values for name, values in outcome.altered.items()
                 if name in known and name not in returned and not outcome.alone} | returned
        count = self._count(chunk, kept, fresh, start)
        staying = [name for name in chunk.columns if name in kept or name in fresh]
        columns: dict[str, Any] = {name: name for name in staying}
        features: dict[str, Any] = {name: chunk.features[name] for name in staying}
        for name, values in fresh.items():
            columns[name], features[name] = self._stored(chunk, name, values)
        return self._shaped(chunk, count, columns, features)

    def _stored(self, chunk: Chunk, name: str, values: Any) -> tuple[Any, Any]:
        """The values of a column and their feature; the column's name where they are its own."""
        array, feature = self._array(chunk, name, values)
        if isinstance(array, pa.ChunkedArray):
            array = joined(array.chunks, array.type)
        before = chunk.columns.get(name)
        if before is not None and len(array) == chunk.num_rows \
                and feature == chunk.features[name] and array.equals(chunk.column(name)):
            return name, feature
        return array, feature

    def _array(self, chunk: Chunk, name: str, values: Any) -> tuple[Any, Any]:
        if self.given is not None and name in self.given:
            return to_array(values, self.given[name], column=name), self.given[name]
        if self.out is not None and name in self.out:
            return _fitting(values, self.out[name], name)
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            before = chunk.features.get(name)
            same = before is not None and arrow_type(before) == values.type
            return values, before if same else feature_of(values.type)
        if name in chunk.features and self.try_original_type:
            feature = chunk.features[name]
            try:
                array = to_array(values, feature, column=name, required=False)
            except CastError:
                if not self.mixed:
                    raise
            else:
                found = feature if array.type == arrow_type(feature) else feature_of(array.type)
                return array, found
        feature = infer_mixed(values, name) if self.mixed else infer(values, name)
        return to_array(values, feature, column=name), feature

    def _count(self, chunk: Chunk, kept: list[str], fresh: Mapping[str, Any], start: int) -> int:
        lengths = {name: len(values) for name, values in fresh.items()}
        left = [name for name in kept if name not in fresh]
        wanted = chunk.num_rows if left else next(iter(lengths.values()), chunk.num_rows)
        wrong = next((name for name, length in lengths.items() if length != wanted), None)
        if wrong is None:
            return wanted
        if lengths[wrong] != chunk.num_rows and left and len(set(lengths.values())) == 1:
            advice = (f"the columns {left} of the input have {chunk.num_rows}: expected length "
                      f"{chunk.num_rows}. Do: add remove_columns={left}, or return these too")
        else:
            advice = f"others have {wanted}: expected length {wanted} in every column"
        raise _LengthError(
            f"{self.call.what}: {self.call.name} returned {lengths[wrong]} values in column "
            f"{wrong!r} for rows {start} to {start + chunk.num_rows - 1}, and {advice}")

    def _shaped(self, chunk: Chunk, count: int, columns: dict[str, Any],
                features: dict[str, Any]) -> Result:
        if self.given is not None:
            columns, features = self._as_given(chunk, columns)
        if self.out is None or dict(self.out) != features or list(self.out) != list(features):
            self.out = self._checked(Features(features))
            columns = {name: columns[name] for name in self.out}
        return Result(chunk.num_rows, count, columns, self.out)

    def _checked(self, features: Features) -> Features:
        """The features, in the order of earlier batches; the columns must be the same."""
        if self.out is None:
            return features
        if set(self.out) != set(features):
            raise FunctionError(
                f"{self.call.what}: {self.call.name} gave the columns {list(features)} for a "
                f"batch, and {list(self.out)} before. Expected the same columns every time")
        return Features({name: features[name] for name in self.out})

    def _as_given(self, chunk: Chunk,
                  columns: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        given: Features = self.given  # type: ignore[assignment]
        if set(given) != set(columns):
            raise CastError(
                f"{self.call.what}: features= has the columns {list(given)}, and what comes out "
                f"has {list(columns)}. Expected the same. Do: leave out the others with "
                "remove_columns=, or add them to features=", list(columns), given)
        found = {}
        for name, feature in given.items():
            value = columns[name]
            if isinstance(value, str) and chunk.features[value] != feature:
                value = cast_array(chunk.column(value), feature, column=name)
            found[name] = value
        return found, dict(given)


class _LengthError(FunctionError, pa.ArrowInvalid):  # type: ignore[misc]
    """Columns of different lengths; also what pyarrow raises for that."""


def _fitting(values: Any, feature: Any, name: str) -> tuple[Any, Any]:
    """The values as the feature of earlier batches, which gives way where those had only nulls."""
    try:
        return to_array(values, feature, column=name), feature
    except CastError:
        if not holds_null(feature):
            raise
        wider = promote(feature, infer(values, name), column=name)
        return to_array(values, wider, column=name), wider


def holds_null(feature: Any) -> bool:
    """Whether the type of something in the feature is not known yet."""
    if isinstance(feature, Mapping):
        return any(map(holds_null, feature.values()))
    return is_null(feature) or (hasattr(feature, "feature") and holds_null(feature.feature))
