"""`datasets.download.streaming_download_manager`."""

from enfold.compat.datasets.utils.file_utils import (
    xbasename,
    xdirname,
    xexists,
    xgetsize,
    xglob,
    xisdir,
    xisfile,
    xjoin,
    xlistdir,
    xopen,
    xrelpath,
    xsplit,
    xsplitext,
    xwalk,
)
from enfold.data.download import StreamingDownloadManager

__all__ = ["StreamingDownloadManager", "xbasename", "xdirname", "xexists", "xgetsize", "xglob",
           "xisdir", "xisfile", "xjoin", "xlistdir", "xopen", "xrelpath", "xsplit", "xsplitext",
           "xwalk"]
