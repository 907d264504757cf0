"""SQL: the rows of a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from logging import getLogger
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.builder import Key
from enfold.data.features import Features
from enfold.data.packaged.base import SourceBuilder, SourceConfig
from enfold.data.sources import Source
from enfold.data.sources.opening import DataFile
from enfold.data.splits import Split, SplitGenerator
from enfold.errors import DataError
from enfold.lazy import require

_log = getLogger(__name__)


@dataclass
class SqlConfig(SourceConfig):
    """sql: a query, a table's name, or something SQLAlchemy can run.  params: of the query.

    con: a URL such as "sqlite:///file.db", an sqlite3 connection, or a connection or engine of
    SQLAlchemy; only for a URL is the result found again.  chunksize: rows fetched at a time.
    """

    sql: Any = None
    con: Any = None
    index_col: str | list[str] | None = None
    coerce_float: bool = True
    params: Any = None
    parse_dates: list[str] | dict[str, Any] | None = None
    columns: list[str] | None = None
    chunksize: int | None = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sql", "con"):
            if getattr(self, name) is None:
                raise DataError(f"sql: {name} must be specified. Got None")

    def create_config_id(self, config_kwargs: dict[str, Any],
                         custom_features: Features | None = None) -> str:
        """With the query as text, and a connection that is no URL as itself."""
        given = dict(config_kwargs)
        if not isinstance(given["sql"], str):
            given["sql"] = _text(given["sql"], given["con"])
        if not isinstance(given["con"], str):
            _log.info("sql: what a %s holds couldn't be hashed properly, so the result is not "
                      "found again. Do: pass con= as a URL", type(given["con"]).__name__)
            given["con"] = id(given["con"])
        return str(super().create_config_id(given, custom_features))


class Sql(SourceBuilder):
    """`load_dataset("sql", sql=..., con=...)`: one split, "train"."""

    BUILDER_CONFIG_CLASS = SqlConfig
    FORMAT: ClassVar[str] = "sql"

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        self._begin(dl_manager)
        return [SplitGenerator(str(Split.TRAIN), {})]

    def _whole(self, splits: Any) -> Source:
        return self._source([DataFile("sql")])

    def _generate_shards(self) -> Iterator[Any]:  # type: ignore[override]
        yield {"sql": self.config.sql}

    def _generate_tables(self) -> Iterator[tuple[Key, pa.Table]]:  # type: ignore[override]
        yield from self._tables(self._whole(()), [0])

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"sql": self.config.sql, "con": self.config.con}


def _text(query: Any, con: Any) -> str:
    """A query of SQLAlchemy in the words of the database.  Raises TypeError for anything else."""
    alchemy = require("sqlalchemy", "hub")
    if not isinstance(query, alchemy.sql.Selectable):
        raise TypeError(f"sql: the query is a {type(query).__name__}: {query}. Expected a string "
                        f"or a selectable of SQLAlchemy")
    dialect = alchemy.create_engine(con.split("://")[0] + "://").dialect if isinstance(
        con, str) else con.dialect
    compiled = query.compile(dialect=dialect)
    values: Mapping[str, Any] = compiled.params
    return f"{compiled} {dict(values)}"
