"""XML: a row a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig


@dataclass
class XmlConfig(SourceConfig):
    """encoding, encoding_errors: as of `open()`."""

    encoding: str = "utf-8"
    encoding_errors: str | None = None


class Xml(SourceBuilder):
    """`load_dataset("xml", data_files=...)`."""

    BUILDER_CONFIG_CLASS = XmlConfig
    FORMAT: ClassVar[str] = "xml"
