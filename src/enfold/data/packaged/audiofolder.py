"""Folders of sounds; see `folder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.features import Audio
from enfold.data.packaged.folder import FolderBasedBuilder, FolderBasedBuilderConfig
from enfold.data.sources.extensions import AUDIOS, WITH_SOUND


@dataclass
class AudioFolderConfig(FolderBasedBuilderConfig):
    """See FolderBasedBuilderConfig."""


class AudioFolder(FolderBasedBuilder):
    """`load_dataset("audiofolder", data_dir=...)`."""

    BUILDER_CONFIG_CLASS = AudioFolderConfig
    FORMAT: ClassVar[str] = "audiofolder"
    BASE_FEATURE = Audio
    BASE_COLUMN_NAME = "audio"
    EXTENSIONS: ClassVar[list[str]] = [f".{one}" for one in f"{AUDIOS} {WITH_SOUND}".split()]
