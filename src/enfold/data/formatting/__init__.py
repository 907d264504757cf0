"""Formats: rows, columns and batches of Arrow tables as objects of Python, numpy, torch, ..."""

from enfold.data.formatting.formatter import (
    ArrowFormatter,
    CustomFormatter,
    Formatter,
    PythonFormatter,
    TableFormatter,
)
from enfold.data.formatting.lazydicts import LazyBatch, LazyDict, LazyRow
from enfold.data.formatting.pylists import to_list, to_rows
from enfold.data.formatting.registry import (
    get_format_type_from_alias,
    get_formatter,
    register_formatter,
)
from enfold.data.formatting.view import View

__all__ = ["ArrowFormatter", "CustomFormatter", "Formatter", "LazyBatch", "LazyDict", "LazyRow",
           "PythonFormatter", "TableFormatter", "View", "get_format_type_from_alias",
           "get_formatter", "register_formatter", "to_list", "to_rows"]
