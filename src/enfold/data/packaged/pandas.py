"""Pickled pandas frames: a name that says why they are not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig
from enfold.data.sources import Source, read


@dataclass
class PandasConfig(SourceConfig):
    """features: read the columns as these."""


class Pandas(SourceBuilder):
    """`load_dataset("pandas", ...)` raises: unpickling runs code that the file brings."""

    BUILDER_CONFIG_CLASS = PandasConfig
    FORMAT: ClassVar[str] = "pandas"

    def source(self, files: Sequence[str]) -> Source:
        """Raises DataError."""
        return read("pandas", files)
