"""WebDataset: tar archives whose files of one name are a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig


@dataclass
class WebDatasetConfig(SourceConfig):
    """features: read the columns as these."""


class WebDataset(SourceBuilder):
    """`load_dataset("webdataset", data_files=...)`."""

    BUILDER_CONFIG_CLASS = WebDatasetConfig
    FORMAT: ClassVar[str] = "webdataset"
    ARCHIVES: ClassVar[bool] = False
    TELLS_FEATURES: ClassVar[bool] = True
