"""Folders of NIfTI volumes; see `folder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.features import Nifti
from enfold.data.packaged.folder import FolderBasedBuilder, FolderBasedBuilderConfig


@dataclass
class NiftiFolderConfig(FolderBasedBuilderConfig):
    """See FolderBasedBuilderConfig."""

    decode_num_threads: int = 4


class NiftiFolder(FolderBasedBuilder):
    """`load_dataset("niftifolder", data_dir=...)`."""

    BUILDER_CONFIG_CLASS = NiftiFolderConfig
    FORMAT: ClassVar[str] = "niftifolder"
    BASE_FEATURE = Nifti
    BASE_COLUMN_NAME = "nifti"
    EXTENSIONS: ClassVar[list[str]] = [".nii"]
