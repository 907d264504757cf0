"""`datasets.formatting.formatting` and its neighbours: the extractors that formatters use there."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from enfold.data.formatting import (
    ArrowFormatter,
    Formatter,
    LazyBatch,
    LazyDict,
    LazyRow,
    PythonFormatter,
    format_table,
    get_formatter,
    key_to_query_type,
    query_table,
)
from enfold.data.formatting.extract import to_rows_array

__all__ = ["ArrowFormatter", "Formatter", "LazyBatch", "LazyDict", "LazyRow",
           "NumpyArrowExtractor", "PandasArrowExtractor", "PolarsArrowExtractor",
           "PythonArrowExtractor", "PythonFormatter", "SimpleArrowExtractor", "format_table",
           "key_to_query_type", "query_table"]


class _Extractor:
    """Rows, columns and batches in the types of one format, nothing decoded."""

    format_type: str | None = None

    def extract_row(self, pa_table: pa.Table) -> Any:
        return get_formatter(self.format_type).format_row(pa_table)

    def extract_column(self, pa_table: pa.Table) -> Any:
        return get_formatter(self.format_type).format_column(pa_table)

    def extract_batch(self, pa_table: pa.Table) -> Any:
        return get_formatter(self.format_type).format_batch(pa_table)


class PythonArrowExtractor(_Extractor):
    """Dicts and lists."""


class SimpleArrowExtractor(_Extractor):
    """Arrow tables."""

    format_type = "arrow"


class PandasArrowExtractor(_Extractor):
    """Data frames of pandas."""

    format_type = "pandas"


class PolarsArrowExtractor(_Extractor):
    """Data frames of polars."""

    format_type = "polars"


class NumpyArrowExtractor:
    """numpy arrays as pyarrow makes them, in the dtypes of the columns."""

    def extract_row(self, pa_table: pa.Table) -> dict[str, Any]:
        return {name: values[0] for name, values in self.extract_batch(pa_table).items()}

    def extract_column(self, pa_table: pa.Table) -> Any:
        return to_rows_array(pa_table.column(0))

    def extract_batch(self, pa_table: pa.Table) -> dict[str, Any]:
        return {name: to_rows_array(pa_table.column(name)) for name in pa_table.column_names}
