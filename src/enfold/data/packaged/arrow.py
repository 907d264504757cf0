"""Arrow IPC streams and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig


@dataclass
class ArrowConfig(SourceConfig):
    """features: read the columns as these."""


class Arrow(SourceBuilder):
    """`load_dataset("arrow", data_files=...)`."""

    BUILDER_CONFIG_CLASS = ArrowConfig
    FORMAT: ClassVar[str] = "arrow"
    TELLS_FEATURES: ClassVar[bool] = True
