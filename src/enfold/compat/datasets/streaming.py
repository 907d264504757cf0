"""`datasets.streaming`."""

from enfold.data.download.paths import xjoin, xopen

__all__ = ["xjoin", "xopen"]
