"""pandas: rows and batches are DataFrames, columns are Series."""

from __future__ import annotations

from typing import Any

from enfold.data.features import Features
from enfold.data.formatting.formatter import FrameFormatter, Table, Tokens
from enfold.data.formatting.pylists import Rows, to_rows
from enfold.lazy import require


class PandasFormatter(FrameFormatter):
    """DataFrames of pandas."""

    table_type = "pandas dataframe"
    column_type = "pandas series"

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self._pandas = require("pandas")

    def format_batch(self, pa_table: Table) -> Any:
        frame = to_pandas(pa_table)
        for name in pa_table.column_names:
            if decode := self.decoder(name):
                values = [None if value is None else decode(value) for value in frame[name]]
                frame[name] = self._pandas.Series(values, dtype=object, index=frame.index)
        return frame

    def split(self, batch: Any) -> Rows:
        columns = [[values.array[row] for row in range(len(batch))] for _, values in batch.items()]
        return to_rows(tuple(batch), columns)


def to_pandas(pa_table: Table, **kwargs: Any) -> Any:
    """The DataFrame of a table; columns of `Array2D` .. have a dtype of their own."""
    require("pandas")
    return pa_table.to_pandas(**kwargs)
