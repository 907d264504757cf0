"""Folders of PDF documents; see `folder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.features import Pdf
from enfold.data.packaged.folder import FolderBasedBuilder, FolderBasedBuilderConfig


@dataclass
class PdfFolderConfig(FolderBasedBuilderConfig):
    """See FolderBasedBuilderConfig."""


class PdfFolder(FolderBasedBuilder):
    """`load_dataset("pdffolder", data_dir=...)`."""

    BUILDER_CONFIG_CLASS = PdfFolderConfig
    FORMAT: ClassVar[str] = "pdffolder"
    BASE_FEATURE = Pdf
    BASE_COLUMN_NAME = "pdf"
    EXTENSIONS: ClassVar[list[str]] = [".pdf"]
