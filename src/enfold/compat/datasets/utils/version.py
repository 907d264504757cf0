"""`datasets.utils.version`."""

from enfold.data.version import Version

__all__ = ["Version"]
