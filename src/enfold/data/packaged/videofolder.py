"""Folders of videos; see `folder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.features import Video
from enfold.data.packaged.folder import FolderBasedBuilder, FolderBasedBuilderConfig
from enfold.data.sources.extensions import VIDEOS


@dataclass
class VideoFolderConfig(FolderBasedBuilderConfig):
    """See FolderBasedBuilderConfig."""


class VideoFolder(FolderBasedBuilder):
    """`load_dataset("videofolder", data_dir=...)`."""

    BUILDER_CONFIG_CLASS = VideoFolderConfig
    FORMAT: ClassVar[str] = "videofolder"
    BASE_FEATURE = Video
    BASE_COLUMN_NAME = "video"
    EXTENSIONS: ClassVar[list[str]] = [f".{one}" for one in VIDEOS.split()]
