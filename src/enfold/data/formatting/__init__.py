"""Formats: rows, columns and batches of Arrow tables as objects of Python, numpy, torch, ..."""

from typing import TYPE_CHECKING, Any

from enfold.data.formatting.cells import cell_reader
from enfold.data.formatting.columns import Column, IterableColumn
from enfold.data.formatting.formatter import (
    ArrowFormatter,
    CustomFormatter,
    Formatter,
    PythonFormatter,
    TableFormatter,
)
from enfold.data.formatting.lazydicts import LazyBatch, LazyDict, LazyRow
from enfold.data.formatting.pylists import to_list, to_rows
from enfold.data.formatting.query import (
    ColumnMissing,
    RowMissing,
    format_table,
    key_to_query_type,
    query_table,
    row_numbers,
)
from enfold.data.formatting.registry import (
    formatter_class,
    get_format_type_from_alias,
    get_formatter,
    register_formatter,
)
from enfold.data.formatting.tensors import TensorFormatter
from enfold.data.formatting.view import View

if TYPE_CHECKING:
    from enfold.data.formatting.jax_formatter import JaxFormatter
    from enfold.data.formatting.numpy_formatter import NumpyFormatter
    from enfold.data.formatting.pandas_formatter import PandasFormatter
    from enfold.data.formatting.polars_formatter import PolarsFormatter
    from enfold.data.formatting.tf_formatter import TFFormatter
    from enfold.data.formatting.torch_formatter import TorchFormatter

_BY_FORMAT = {"JaxFormatter": "jax", "NumpyFormatter": "numpy", "PandasFormatter": "pandas",
              "PolarsFormatter": "polars", "TFFormatter": "tensorflow", "TorchFormatter": "torch"}

__all__ = ["ArrowFormatter", "Column", "ColumnMissing", "CustomFormatter", "Formatter",
           "IterableColumn", "JaxFormatter", "LazyBatch", "LazyDict", "LazyRow", "NumpyFormatter",
           "PandasFormatter", "PolarsFormatter", "PythonFormatter", "RowMissing", "TFFormatter",
           "TableFormatter", "TensorFormatter", "TorchFormatter", "View", "cell_reader",
           "format_table", "get_format_type_from_alias", "get_formatter", "key_to_query_type",
           "query_table", "register_formatter", "row_numbers", "to_list", "to_rows"]


def __getattr__(name: str) -> Any:
    if name in _BY_FORMAT:
        return formatter_class(_BY_FORMAT[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
