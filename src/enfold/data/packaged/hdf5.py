"""HDF5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig


@dataclass
class HDF5Config(SourceConfig):
    """columns: read only these.  batch_size: rows of a batch."""

    batch_size: int | None = None
    columns: list[str] | None = None


class HDF5(SourceBuilder):
    """`load_dataset("hdf5", data_files=...)`."""

    BUILDER_CONFIG_CLASS = HDF5Config
    FORMAT: ClassVar[str] = "hdf5"
    ARCHIVES: ClassVar[bool] = False
    TELLS_FEATURES: ClassVar[bool] = True
