"""SQL: the rows of a query."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from enfold.data.sources.blocks import Mark, Piece
from enfold.data.sources.opening import DataFile
from enfold.data.sources.source import Reader
from enfold.errors import DataError, DataFileError, unknown_arguments
from enfold.lazy import require

KNOWN = {"sql", "con", "params", "chunksize", "index_col", "coerce_float", "parse_dates", "columns"}


class Sql(Reader):
    """sql: a query, a table's name or something SQLAlchemy can run.  params: of the query.

    con: "sqlite:///file.db", any other URL of SQLAlchemy (extra `hub`), an sqlite3 connection, or
    a connection or engine of SQLAlchemy.  chunksize: rows fetched at a time.
    """

    def __init__(self, columns: Sequence[str] | None = None, *, sql: Any = None, con: Any = None,
                 params: Any = None, chunksize: int | None = 10_000, coerce_float: bool = True,
                 index_col: Any = None, parse_dates: Any = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("sql", others, KNOWN)
        for name, value in (("index_col", index_col), ("parse_dates", parse_dates)):
            if value is not None:
                raise NotImplementedError(f"sql: {name}= is not done here. Do: say it in the "
                                          f"query, or pass pandas.read_sql's frame to "
                                          f"Dataset.from_pandas()")
        if sql is None or con is None:
            raise DataError(f"sql: needs sql= and con=. Got sql={sql!r}, con={con!r}")
        self.sql, self.con, self.params = sql, con, params
        self.size, self.floats, self.columns = chunksize or 1 << 30, coerce_float, columns

    def files(self, paths: Any, storage: Mapping[str, Any] | None = None) -> list[DataFile]:
        """The query, as if it were a file."""
        return [DataFile("sql")]

    def infer(self, file: DataFile) -> pa.Schema:
        return next((piece.batch.schema for piece in self.read(file, pa.schema([]), Mark(), 0)),
                    pa.schema([]))

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        with self._rows() as (names, fetch):
            at = 0
            while rows := fetch(self.size):
                columns = zip(*rows, strict=True)
                arrays = {name: self._array(list(values), hint.field(name).type
                                            if name in hint.names else None)
                          for name, values in zip(names, columns, strict=True)
                          if self.columns is None or name in self.columns}
                yield Piece(pa.RecordBatch.from_pydict(arrays), at, Mark())
                at += len(rows)

    def _array(self, values: list[Any], kind: Any) -> Any:
        """As pandas has it: numbers among them make floats, a missing int too, mixtures text."""
        if kind is not None:
            try:
                return pa.array(values, kind)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                pass  # of its own type then, which the schema is widened to
        types = {type(value) for value in values if value is not None}
        numbers = types and types <= {int, float} and self.floats
        if not types or (numbers and (len(types) == 2 or (types == {int} and None in values))):
            return pa.array(values, pa.float64() if types else pa.null())
        if types == {str}:
            return pa.array(values, pa.large_string())
        try:
            array = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return pa.array([None if v is None else str(v) for v in values], pa.large_string())
        decimal = pa.types.is_decimal(array.type) and self.floats
        return array.cast(pa.float64()) if decimal else array

    @contextmanager
    def _rows(self) -> Iterator[tuple[list[str], Any]]:
        """The names of the result's columns and `fetch(n)`."""
        path = _sqlite_path(self.con)
        own = sqlite3.connect(path) if path is not None and isinstance(self.sql, str) else None
        connection = own or self.con
        try:
            if isinstance(connection, sqlite3.Connection):
                cursor = connection.execute(_query(self.sql), self.params or ())
                yield [column[0] for column in cursor.description or ()], cursor.fetchmany
            else:
                with _alchemy(self.con) as live:
                    text = require("sqlalchemy", "hub").text
                    query = text(_query(self.sql)) if isinstance(self.sql, str) else self.sql
                    result = live.execute(query, self.params)
                    yield list(result.keys()), result.fetchmany
        except sqlite3.Error as error:
            raise DataFileError(f"{self.con}: the query {str(self.sql)!r} failed: {error}"
                                ) from error
        finally:
            if own is not None:
                own.close()


def _query(sql: str) -> str:
    """A table's name stands for all of it."""
    bare = sql.strip()
    return f'SELECT * FROM "{bare}"' if len(bare.split()) == 1 else sql


def _sqlite_path(con: Any) -> str | None:
    prefix = "sqlite:///"
    return con[len(prefix):] if isinstance(con, str) and con.startswith(prefix) else None


@contextmanager
def _alchemy(con: Any) -> Iterator[Any]:
    if hasattr(con, "execute"):
        yield con
        return
    alchemy = require("sqlalchemy", "hub")
    engine = con if hasattr(con, "connect") else alchemy.create_engine(con)
    try:
        with engine.connect() as live:
            yield live
    except alchemy.exc.SQLAlchemyError as error:
        raise DataFileError(f"{con}: the query failed: {error}") from error
    finally:
        if engine is not con:
            engine.dispose()
