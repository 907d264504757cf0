"""`datasets.utils.metadata`."""

from enfold.data.info import MetadataConfigs

__all__ = ["MetadataConfigs"]
