"""Many files as one stream of record batches with one schema.

The schema is what the first file's head shows (its first 10,000 rows or 10 MB, as `datasets`
takes it).  What comes later and does not fit widens it, by the table in `features/promote.py`:

    strict=True   never: DataFileError with file and line
    batches()     raises SchemaGrew, since batches of the narrower schema are out already
    consume(f)    calls f again from the start, with the wide schema: what a loader wants
    grow=True     goes on with the wider schema: what a stream of rows wants

`promotions` lists in words what was widened, by which file, line and value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pyarrow as pa

from enfold.data.features import FeatureError, Features, cast_table
from enfold.data.sources import schema as schemas
from enfold.data.sources.blocks import Mark, Piece
from enfold.data.sources.opening import DAMAGE, DataFile, expand, naming
from enfold.errors import DataError, DataFileError, nearest

T = TypeVar("T")
START = Mark()


class SchemaGrew(DataFileError):  # noqa: N818 - reads as what happened
    """A row did not fit the schema of earlier batches; `source.schema` is the wider one now."""


class Reader(ABC):
    """One format.  `lacking` and `surplus` say what `features=` may differ in from the file."""

    lacking = "null"   # a feature the file lacks is null; "raise": it must be there
    surplus = "raise"  # a column that is no feature raises; "drop": it is left out
    asked = False      # whether the hints are what the user asked for, not what was found so far

    def files(self, paths: Any, storage: Mapping[str, Any] | None = None) -> list[DataFile]:
        """The files that paths, folders, globs, URLs and archives stand for; see `expand`."""
        return expand(paths, storage)

    @abstractmethod
    def infer(self, file: DataFile) -> pa.Schema:
        """The schema of a file, by its head; without fields for a file without rows."""

    @abstractmethod
    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        """Its rows from `start`, or from anywhere between that and `row`.

        hint: the types to read columns as, where the values allow it; others come as they are.
        """


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading stands: the next row to read, and a place in its file to start from."""

    file: int = 0
    row: int = 0
    mark: Mark = START


class Source:
    """Rows of files as record batches.  Iterating starts anew each time.

    files: in order.  features: `Features` or a pyarrow schema that every batch is cast to.
    columns: keep these, in this order.  strict: later files must have the first one's schema.
    known: features found before, which rows may still widen; they spare looking at the first file.
    """

    def __init__(self, reader: Reader, files: Sequence[DataFile], *, features: Any = None,
                 columns: Sequence[str] | None = None, strict: bool = False,
                 known: Features | None = None) -> None:
        self.reader, self.files, self.asked = reader, list(files), features
        self.columns, self.strict = list(columns) if columns is not None else None, strict
        self.promotions: list[str] = []
        reader.asked = features is not None
        self._features: Features | None = None
        self._schema = pa.schema([])
        self.known = known is not None
        if known is not None and features is None:
            self._set(known)

    @property
    def features(self) -> Features:
        """What the columns are; the first use reads the first file's head."""
        if self._features is None:
            self._set(self._given() if self.asked is not None else self._inferred())
        return cast(Features, self._features)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch, with the features in its metadata."""
        return self._schema if self._features is not None else self.features.arrow_schema

    def _set(self, features: Features) -> None:
        self._features, self._schema = features, features.arrow_schema

    def batches(self, start_file: int = 0, start_row: int = 0, *,
                grow: bool = False) -> Iterator[pa.RecordBatch]:
        """The batches from a row of a file on.  Raises SchemaGrew unless `grow`, see above."""
        for _, batch in self.positions(Position(start_file, start_row), grow=grow):
            yield batch

    def positions(self, start: Position | None = None, *,
                  grow: bool = False) -> Iterator[tuple[Position, pa.RecordBatch]]:
        """Batches, each with where it begins: give that back later to go on from there at once."""
        for number, piece in self._pieces(start or Position()):
            batch = self._fitted(self.files[number], piece, grow)
            if batch.num_rows:
                yield Position(number, piece.row, piece.mark), batch

    def consume(self, write: Callable[[Iterator[pa.RecordBatch]], T]) -> T:
        """`write(batches)`, once more from the start where the schema had to grow on the way."""
        try:
            return write(self.batches())
        except SchemaGrew:
            self.settle()
        return write(self.batches())

    def settle(self) -> pa.Schema:
        """Read everything once, so that the schema fits all rows; returns it."""
        while True:
            before = self.features
            for number, piece in self._pieces(Position()):
                self._fitted(self.files[number], piece, grow=True)
            if self.features == before:  # what was widened may read differently: once more
                return self.schema

    def _inferred(self) -> Features:
        for file in self.files:
            with naming(file):
                found = Features.from_arrow_schema(self.reader.infer(file))
            if found:
                return self._projected(found, str(file))
        return self._projected(Features(), ", ".join(map(str, self.files[:3])))

    def _given(self) -> Features:
        schema = isinstance(self.asked, pa.Schema)
        features = Features.from_arrow_schema(self.asked) if schema else Features(self.asked)
        return self._projected(features, "features=")

    def _projected(self, features: Features, where: str) -> Features:
        if self.columns is None:
            return features
        for name in self.columns:
            if name not in features:
                raise DataError(f"{where} has no column {name!r}{nearest(name, features)}. "
                                f"Expected some of {list(features)}")
        return Features({name: features[name] for name in self.columns})

    def _pieces(self, start: Position) -> Iterator[tuple[int, Piece]]:
        for number in range(start.file, len(self.files)):
            first = number == start.file
            row, mark = (start.row, start.mark) if first else (0, START)
            yield from ((number, piece) for piece in self._file(number, row, mark))

    def _file(self, number: int, row: int, mark: Mark) -> Iterator[Piece]:
        """The pieces of one file, less the rows before `row`."""
        file = self.files[number]
        with naming(file):
            for piece in self.reader.read(file, self.schema, mark, row):
                skip = row - piece.row
                if skip < piece.batch.num_rows or not piece.batch.num_rows:
                    yield piece if skip <= 0 else _tail(piece, skip)

    def _fitted(self, file: DataFile, piece: Piece, grow: bool) -> pa.RecordBatch:
        if self.asked is not None:
            return self._cast(file, piece)
        while True:
            try:
                return schemas.fit(piece.batch, self.features, self.schema, self.columns)
            except schemas.Misfit as misfit:
                self._widen(file, piece, misfit, grow)

    def _widen(self, file: DataFile, piece: Piece, misfit: schemas.Misfit, grow: bool) -> None:
        line = piece.line(misfit.index)
        at = f"line {line}" if line is not None else f"row {piece.row + misfit.index}"
        if self.strict or misfit.wider is None:
            wide = ", or drop strict=True to have the columns widened" if self.strict else ""
            first = "the first file" if self.known else self.files[0]
            raise DataFileError(f"{file}, {at}: {misfit.problem}. Expected the columns of "
                                f"{first}: {self.features}. Do: mend the file, or pass "
                                f"features={wide}")
        self.promotions.append(f"{misfit.change} ({file}, {at}: {misfit.problem})")
        self._set(misfit.wider)
        if not grow:
            raise SchemaGrew(f"{file}, {at}: {misfit.problem}. Batches with the schema before it "
                             f"are out already. Do: pass features=, call settle() first, or read "
                             f"through consume()")

    def _cast(self, file: DataFile, piece: Piece) -> pa.RecordBatch:
        """A piece with the features that were asked for."""
        batch, names = piece.batch, piece.batch.schema.names
        extra = [name for name in names if name not in self.features]
        if extra and (self.reader.surplus == "drop" or self.columns is not None):
            batch = batch.select([name for name in names if name in self.features])
        elif extra:
            raise DataFileError(f"{file}: has the columns {extra}, which are no features. "
                                f"Expected {list(self.features)}")
        lacking = [name for name in self.features if name not in names]
        if lacking and self.reader.lacking == "raise":
            raise DataFileError(f"{file}: lacks the columns {lacking} of features=. It has {names}")
        try:
            return cast_table(batch, self.features, fill_missing=True)
        except (FeatureError, *DAMAGE) as error:
            line = piece.line(0) if batch.num_rows else None
            near = f", rows from line {line} on" if line is not None else ""
            raise DataFileError(f"{file}{near}: does not fit features=: {error}") from error


def _tail(piece: Piece, skip: int) -> Piece:
    return Piece(piece.batch.slice(skip), piece.row + skip, piece.mark,
                 lambda index: piece.line(index + skip))
