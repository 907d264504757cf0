"""Folders of 3D models; see `folder.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from enfold.data.features import Mesh
from enfold.data.packaged.folder import FolderBasedBuilder, FolderBasedBuilderConfig
from enfold.data.sources.extensions import MESHES


@dataclass
class MeshFolderConfig(FolderBasedBuilderConfig):
    """See FolderBasedBuilderConfig."""

    decode_num_threads: int = 4


class MeshFolder(FolderBasedBuilder):
    """`load_dataset("meshfolder", data_dir=...)`."""

    BUILDER_CONFIG_CLASS = MeshFolderConfig
    FORMAT: ClassVar[str] = "meshfolder"
    BASE_FEATURE = Mesh
    BASE_COLUMN_NAME = "mesh"
    EXTENSIONS: ClassVar[list[str]] = [f".{one}" for one in MESHES.split()]
