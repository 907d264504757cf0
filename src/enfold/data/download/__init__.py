"""Downloads: files by URL, fetched once, unpacked, or read where they are."""

from enfold.data.download.cached import cached_path
from enfold.data.download.config import DownloadConfig, DownloadMode
from enfold.data.download.manager import DownloadManager
from enfold.data.download.paths import PathMissing, xjoin, xopen
from enfold.data.download.streaming import StreamingDownloadManager

__all__ = ["DownloadConfig", "DownloadManager", "DownloadMode", "PathMissing",
           "StreamingDownloadManager", "cached_path", "xjoin", "xopen"]
