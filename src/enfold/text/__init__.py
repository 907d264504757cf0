"""Tokenizers: every format onto the `tokenizers` engine, chat templates.  Imports no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import AddedToken

    from enfold.text.auto import AutoTokenizer
    from enfold.text.batch import BatchEncoding, CharSpan, TokenSpan
    from enfold.text.schema import get_json_schema
    from enfold.text.tokenizer import Tokenizer

__all__ = ["AddedToken", "AutoTokenizer", "BatchEncoding", "CharSpan", "TokenSpan", "Tokenizer",
           "get_json_schema"]

_WHERE = {"AddedToken": "tokenizers", "AutoTokenizer": "enfold.text.auto",
          "BatchEncoding": "enfold.text.batch", "CharSpan": "enfold.text.batch",
          "TokenSpan": "enfold.text.batch", "Tokenizer": "enfold.text.tokenizer",
          "get_json_schema": "enfold.text.schema"}


def __getattr__(name: str) -> Any:
    """The names above when they are used, and the tokenizer classes (`BertTokenizer`, ...)."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module(_WHERE.get(name, "enfold.text.classes")), name)
