"""Plain text: a row a line, paragraph or file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig


@dataclass
class TextConfig(SourceConfig):
    """sample_by: "line", "paragraph" or "document".  keep_linebreaks: at each line's end.

    encoding, encoding_errors: as of `open()`.  chunksize: bytes read at a time.
    """

    encoding: str = "utf-8"
    encoding_errors: str | None = None
    chunksize: int = 10 << 20
    keep_linebreaks: bool = False
    sample_by: str = "line"


class Text(SourceBuilder):
    """`load_dataset("text", data_files=...)`."""

    BUILDER_CONFIG_CLASS = TextConfig
    FORMAT: ClassVar[str] = "text"
