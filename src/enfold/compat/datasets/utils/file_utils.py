"""`datasets.utils.file_utils`."""

from enfold.data.download.archives import archive_files, files_below
from enfold.data.download.cached import cached_path
from enfold.data.download.paths import (
    is_local_path,
    is_relative_path,
    is_remote_url,
    url_or_path_join,
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
from enfold.data.download.unpack import hash_url_to_filename

__all__ = ["archive_files", "cached_path", "files_below", "hash_url_to_filename", "is_local_path",
           "is_relative_path", "is_remote_url", "url_or_path_join", "xbasename", "xdirname",
           "xexists", "xgetsize", "xglob", "xisdir", "xisfile", "xjoin", "xlistdir", "xopen",
           "xrelpath", "xsplit", "xsplitext", "xwalk"]
