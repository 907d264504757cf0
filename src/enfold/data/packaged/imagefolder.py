"""Folders of pictures; see `folder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.features import Image
from enfold.data.packaged.folder import FolderBasedBuilder, FolderBasedBuilderConfig
from enfold.data.sources.extensions import IMAGES


@dataclass
class ImageFolderConfig(FolderBasedBuilderConfig):
    """See FolderBasedBuilderConfig."""


class ImageFolder(FolderBasedBuilder):
    """`load_dataset("imagefolder", data_dir=...)`."""

    BUILDER_CONFIG_CLASS = ImageFolderConfig
    FORMAT: ClassVar[str] = "imagefolder"
    BASE_FEATURE = Image
    BASE_COLUMN_NAME = "image"
    EXTENSIONS: ClassVar[list[str]] = [f".{one}" for one in IMAGES.split()]
