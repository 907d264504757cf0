"""polars: rows and batches are DataFrames, columns are Series."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from enfold.data.features import Features
from enfold.data.features.arrow import storage_type
from enfold.data.formatting.formatter import FrameFormatter, Table, Tokens
from enfold.data.formatting.pylists import Rows, to_list
from enfold.lazy import require


class PolarsFormatter(FrameFormatter):
    """DataFrames of polars; what is decoded is a column of objects."""

    table_type = "polars dataframe"
    column_type = "polars series"

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self._polars = require("polars")

    def format_batch(self, pa_table: Table) -> Any:
        frame = to_polars(pa_table)
        decoded = {name: decode for name in pa_table.column_names if (decode := self.decoder(name))}
        return frame.with_columns([
            self._polars.Series(name, list(map(decode, to_list(pa_table.column(name)))),
                                dtype=self._polars.Object)
            for name, decode in decoded.items()]) if decoded else frame

    def split(self, batch: Any) -> Rows:
        return batch.to_dicts()  # type: ignore[no-any-return]


def to_polars(pa_table: Table, **kwargs: Any) -> Any:
    """The DataFrame of a table; columns of `Array2D` .. are nested lists."""
    fields = [field.with_type(storage_type(field.type)) for field in pa_table.schema]
    table = pa.Table.from_arrays(
        [column.cast(field.type) if field.type != column.type else column
         for column, field in zip(pa_table.columns, fields, strict=True)], schema=pa.schema(fields))
    return require("polars").from_arrow(table, **kwargs)
