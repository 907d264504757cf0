"""The functions of `os.path`, `glob` and `open` for local paths and URLs alike.

A URL may be a chain, innermost first: `zip://folder/a.txt::https://host/b.zip`.  Local paths are
left to the standard library.  download_config: a DownloadConfig, for its token and options.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from logging import getLogger
from typing import Any

from enfold.data import config
from enfold.data.datafiles import storage_of
from enfold.data.sources.opening import is_url
from enfold.errors import DependencyError, FileMissing
from enfold.lazy import require

_log = getLogger(__name__)
_DRIVE = "drive.google.com"


class PathMissing(FileMissing, FileNotFoundError):  # noqa: N818 - reads as what it is
    """A file or folder that is not there; `except FileNotFoundError` catches it too."""


def is_remote_url(url_or_filename: Any) -> bool:
    """Whether it is a URL, or a chain that begins with one."""
    return is_url(str(url_or_filename).split("::")[0])


def is_local_path(url_or_filename: Any) -> bool:
    """Whether it is a path in the local filesystem."""
    return not is_remote_url(url_or_filename)


def is_relative_path(url_or_filename: Any) -> bool:
    """Whether it is a local path that does not begin at the root."""
    return is_local_path(url_or_filename) and not os.path.isabs(url_or_filename)


def url_or_path_join(base_name: str, *pathnames: str) -> str:
    """`base_name/pathname`, for a base that is a path or URL."""
    if is_remote_url(base_name):
        return posixpath.join(base_name, *(name.replace(os.sep, "/").lstrip("/")
                                           for name in pathnames))
    return os.path.join(base_name, *pathnames)


def prepared(url: str, download_config: Any = None) -> tuple[str, dict[str, Any]]:
    """The URL that fsspec is given, and the options of its filesystems."""
    hops = [_hop(hop) for hop in str(url).split("::")]
    chain = "::".join(hops)
    options = storage_of(chain, download_config)
    if chain.startswith(("http://", "https://")):
        client = {"trust_env": True, **options.get("client_kwargs", {})}  # proxies
        options = {**options, "client_kwargs": client}
        if chain.startswith("https://raw.githubusercontent.com/"):  # else gzipped on the way
            options["headers"] = {"Accept-Encoding": "identity", **options.get("headers", {})}
    return chain, options


def _hop(hop: str) -> str:
    endpoint = config.setting("HF_ENDPOINT")
    if hop.startswith(f"{endpoint}/") and "/resolve/" in hop:  # with the token, and cached
        repo, rest = hop.removeprefix(f"{endpoint}/").split("/resolve/", 1)
        return f"hf://{repo}@{rest}"
    if _DRIVE in hop and "confirm=" not in hop:  # skips the page that warns of viruses
        return f"{hop}&confirm=t"
    return hop


def filesystem(url: str, download_config: Any = None) -> tuple[Any, str]:
    """The fsspec filesystem of a URL, and the path inside it.  Raises DependencyError."""
    import enfold.data.download.compressed  # noqa: F401 - makes gzip:// and such known

    chain, options = prepared(url, download_config)
    try:
        system, path = require("fsspec.core").url_to_fs(chain, **options)
    except ImportError as error:
        raise DependencyError(f"{chain}: {error}") from error
    return system, path


def xopen(file: Any, mode: str = "r", *args: Any, download_config: Any = None,
          **kwargs: Any) -> Any:
    """`open` for paths and URLs; a lost connection is tried again.

    args, kwargs: those of `open`; block_size counts for URLs only.  Raises PathMissing.
    """
    path = os.fspath(file)
    if is_local_path(path):
        kwargs.pop("block_size", None)
        return open(path.split("::")[0], mode, *args, **kwargs)
    for attempt in range(1, config.STREAMING_OPEN_MAX_RETRIES + 1):
        try:
            system, inner = filesystem(path, download_config)
            opened = system.open(inner, mode, *args, **kwargs)
        except FileNotFoundError as error:
            raise PathMissing(f"{path} was not found ({error}). Do: check the URL; for a private "
                              f"or gated repository of the Hub, log in with `hf auth login`"
                              ) from error
        except (ConnectionError, TimeoutError) as error:
            if attempt == config.STREAMING_OPEN_MAX_RETRIES:
                raise
            _log.warning("%s: %s; trying again in %s s [%d/%d]", path, error,
                         config.STREAMING_OPEN_RETRY_INTERVAL, attempt,
                         config.STREAMING_OPEN_MAX_RETRIES)
            time.sleep(config.STREAMING_OPEN_RETRY_INTERVAL)
        else:
            return _keeping(opened, system)
    raise PathMissing(f"{path} was not opened: STREAMING_OPEN_MAX_RETRIES is "
                      f"{config.STREAMING_OPEN_MAX_RETRIES}. Expected 1 or more")


def _keeping(file: Any, system: Any) -> Any:
    """The file, with its filesystem: an archive is closed when that is let go."""
    with suppress(AttributeError):  # of a kind that takes no attributes, and needs none
        file._enfold_system = system
    return file


def xjoin(a: Any, *p: Any) -> str:
    """`os.path.join`: `zip://folder/a.txt::b.zip` for `zip://folder::b.zip` and `a.txt`."""
    first, *rest = str(a).split("::")
    parts = [str(part) for part in p]
    if is_local_path(first):
        return os.path.join(first, *parts)
    return "::".join([posixpath.join(first, *parts), *rest])


def xdirname(a: Any) -> str:
    """`os.path.dirname`."""
    return xsplit(a)[0]


def xbasename(a: Any) -> str:
    """`os.path.basename`."""
    return posixpath.basename(_posix(str(a).split("::")[0]))


def xsplit(a: Any) -> tuple[str, str]:
    """`os.path.split`."""
    first, *rest = str(a).split("::")
    head, tail = posixpath.split(_posix(first))
    return "::".join([f"{head}//" if head.endswith(":") else head, *rest]), tail


def xsplitext(a: Any) -> tuple[str, str]:
    """`os.path.splitext`."""
    first, *rest = str(a).split("::")
    root, extension = posixpath.splitext(_posix(first))
    return "::".join([root, *rest]), extension


def xrelpath(path: Any, start: Any = None) -> str:
    """`os.path.relpath`."""
    first = str(path).split("::")[0]
    base = None if start is None else str(start).split("::")[0]
    return os.path.relpath(first, base) if is_local_path(first) else posixpath.relpath(first, base)


def xexists(urlpath: Any, download_config: Any = None) -> bool:
    """`os.path.exists`."""
    if is_local_path(urlpath):
        return os.path.exists(str(urlpath).split("::")[0])
    system, path = filesystem(str(urlpath), download_config)
    return bool(system.exists(path))


def xisfile(path: Any, download_config: Any = None) -> bool:
    """`os.path.isfile`."""
    if is_local_path(path):
        return os.path.isfile(path)
    system, inner = filesystem(str(path), download_config)
    return bool(system.isfile(inner))


def xisdir(path: Any, download_config: Any = None) -> bool:
    """`os.path.isdir`."""
    if is_local_path(path):
        return os.path.isdir(path)
    system, inner = filesystem(str(path), download_config)
    return not inner.strip("/") or bool(system.isdir(inner))


def xgetsize(path: Any, download_config: Any = None) -> int:
    """`os.path.getsize`; of what tells no size, the bytes are counted."""
    if is_local_path(path):
        return os.path.getsize(path)
    system, inner = filesystem(str(path), download_config)
    size = system.size(inner)
    if size is None:
        with xopen(path, "rb", download_config=download_config) as file:
            size = sum(len(block) for block in iter(lambda: file.read(1 << 20), b""))
    return int(size)


def xlistdir(path: Any, download_config: Any = None) -> list[str]:
    """`os.listdir`."""
    if is_local_path(path):
        return os.listdir(path)
    system, inner = filesystem(str(path), download_config)
    if inner.strip("/") and not system.isdir(inner):
        raise PathMissing(f"Directory doesn't exist: {path}")
    return [posixpath.basename(name.rstrip("/")) for name in system.ls(inner, detail=False)]


def xglob(urlpath: Any, *, recursive: bool = False, download_config: Any = None) -> list[str]:
    """`glob.glob`."""
    first, *rest = str(urlpath).split("::")
    if is_local_path(first):
        return glob.glob(first, recursive=recursive)
    system, inner = filesystem(str(urlpath), download_config)
    return ["::".join([_url(system, path), *rest]) for path in system.glob(inner)]


def xwalk(urlpath: Any, download_config: Any = None,
          **kwargs: Any) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk`; folders taken from the list of them are not entered, for URLs too."""
    first, *rest = str(urlpath).split("::")
    if is_local_path(first):
        yield from os.walk(first, **kwargs)
        return
    system, inner = filesystem(str(urlpath), download_config)
    if inner.strip("/") and not system.isdir(inner):
        return
    for folder, folders, files in system.walk(inner, **kwargs):
        yield "::".join([_url(system, folder), *rest]), folders, files


def _url(system: Any, path: str) -> str:
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[-1]
    return f"{protocol}://{re.sub(f'^{protocol}://', '', path)}"


def _posix(path: str) -> str:
    return path if is_url(path) else path.replace(os.sep, "/")
