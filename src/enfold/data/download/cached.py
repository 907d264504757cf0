"""Local copies of URLs, found again by the URL (and by its ETag, where that is asked for).

    <cache>/<sha256 of the URL>          the content
    <cache>/<sha256 of the URL>.json     {"url": ..., "etag": ...}

Files of the Hub are in huggingface_hub's own cache.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

from enfold.data import config
from enfold.data.cache.lock import FileLock
from enfold.data.download.config import DownloadConfig
from enfold.data.download.paths import PathMissing, filesystem, is_remote_url, prepared
from enfold.data.download.streaming import on_the_fly
from enfold.data.download.unpack import hash_url_to_filename, unpack
from enfold.errors import DataError, FileMissing
from enfold.files import env
from enfold.files.atomic import atomic_write
from enfold.files.remote import failure
from enfold.lazy import require

_HUB = re.compile(r"hf://(?P<kind>datasets|spaces)/(?P<repo>[^@]+)"
                  r"@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+)/(?P<path>.+)")
_KINDS = {"datasets": "dataset", "spaces": "space"}


def cached_path(url_or_filename: Any, download_config: DownloadConfig | None = None,
                **download_kwargs: Any) -> str:
    """The absolute local path of a file or URL, downloaded and unpacked as the config asks.

    download_kwargs: fields of a DownloadConfig, in its stead.  Raises PathMissing.
    """
    settings = download_config or DownloadConfig(**download_kwargs)
    name = os.fspath(url_or_filename).removeprefix("file://")
    path = _fetched(name, settings) if is_remote_url(name) else os.path.expanduser(name)
    if not is_remote_url(name) and not os.path.exists(path):
        raise PathMissing(f"Local file {name} doesn't exist")
    if not settings.extract_compressed_file:
        return os.path.abspath(path)
    if settings.extract_on_the_fly:
        url = on_the_fly(os.path.abspath(path), settings)
        if url is not None:
            return url
    below = settings.cache_dir and Path(settings.cache_dir) / config.EXTRACTED_DATASETS_DIR
    folder = Path(below or config.setting("EXTRACTED_DATASETS_PATH"))
    return os.path.abspath(unpack(path, folder, settings.force_extract))


def _fetched(url: str, settings: DownloadConfig) -> str:
    chain, _ = prepared(url, settings)
    if chain.startswith("hf://") and not chain.startswith("hf://buckets/"):
        return _from_hub(chain, settings)
    folder = Path(settings.cache_dir or config.setting("DOWNLOADED_DATASETS_PATH")).expanduser()
    known = folder / hash_url_to_filename(chain)
    if known.exists() and not settings.force_download and not settings.use_etag:
        return str(known)
    etag = None
    if settings.use_etag:
        if reason := _no_requests(settings):
            if found := sorted(folder.glob(f"{known.name}*.json")):
                return str(found[-1].with_suffix(""))
            raise _unreachable(chain, reason)
        etag = _etag(chain, settings)
        known = folder / hash_url_to_filename(chain, etag)
        if known.exists() and not settings.force_download:
            return str(known)
    if reason := _no_requests(settings):
        raise _unreachable(chain, reason)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(known.with_name(f"{known.name}.lock"), passing=True):
        if not known.exists() or settings.force_download:
            _download(chain, known, settings)
            told = json.dumps({"url": chain, "etag": etag}).encode()
            atomic_write(known.with_name(f"{known.name}.json"), told)
    return str(known)


def _etag(url: str, settings: DownloadConfig) -> str | None:
    system, path = filesystem(url, settings)
    try:
        told = system.info(path)
    except FileNotFoundError as error:
        raise PathMissing(f"{url} was not found") from error
    etag = told.get("ETag") or told.get("etag")
    return str(etag) if etag else None


def _download(url: str, target: Path, settings: DownloadConfig) -> None:
    draft = target.with_name(f"{target.name}.{token_hex(4)}.incomplete")
    for attempt in range(settings.max_retries + 1):
        try:
            system, path = filesystem(url, settings)
            with _bar(settings) as bar:
                system.get_file(path, str(draft), callback=bar)
            os.replace(draft, target)
            return
        except FileNotFoundError as error:
            raise PathMissing(f"{url} was not found") from error
        except (ConnectionError, TimeoutError):
            if attempt == settings.max_retries:
                raise
            time.sleep(2 ** attempt)
        finally:
            draft.unlink(missing_ok=True)


def _bar(settings: DownloadConfig) -> Any:
    """A progress bar of bytes, as fsspec tells them."""
    from enfold.data.executor import tqdm

    return require("fsspec.callbacks").TqdmCallback(
        {"desc": settings.download_desc or "Downloading", "unit": "B", "unit_scale": True,
         "disable": settings.disable_tqdm}, tqdm_cls=tqdm)


def _from_hub(url: str, settings: DownloadConfig) -> str:
    hub = require("huggingface_hub")
    match = _HUB.fullmatch(url)
    if match:
        where = {"repo_id": match["repo"], "repo_type": _KINDS[match["kind"]],
                 "revision": unquote(match["revision"]), "filename": match["path"]}
    else:
        found = hub.HfFileSystem(endpoint=env.endpoint(), token=settings.token).resolve_path(url)
        where = {"repo_id": found.repo_id, "repo_type": found.repo_type,
                 "revision": found.revision, "filename": found.path_in_repo}
    try:
        return str(hub.hf_hub_download(
            **where, token=settings.token, endpoint=env.endpoint(),
            force_download=settings.force_download, user_agent=settings.user_agent,
            local_files_only=_no_requests(settings) is not None))
    except Exception as error:  # the client's http library changes with its version
        raise PathMissing(f"{url} can't be had from the Hub: "
                          f"{_reason(error, where, settings)}") from error


def _reason(error: Exception, where: dict[str, Any], settings: DownloadConfig) -> str:
    errors = require("huggingface_hub.errors")
    hidden = isinstance(error, errors.LocalEntryNotFoundError)  # "not cached": its cause says why
    if isinstance(error, errors.EntryNotFoundError) and not hidden:
        return f"the repository has no file {where['filename']!r} at {where['revision']!r}"
    if hidden and (reason := _no_requests(settings)):
        return f"it is not cached, and {reason} forbids a request. Do: allow requests once"
    cause = (error.__cause__ if hidden else None) or error
    return str(failure(cause, f"datasets/{where['repo_id']}", str(where["revision"]),
                       settings.token))


def _no_requests(settings: DownloadConfig) -> str | None:
    """Why no request may be made."""
    if settings.local_files_only:
        return "local_files_only=True"
    return (env.offline() or "HF_HUB_OFFLINE") if config.setting("HF_HUB_OFFLINE") else None


def _unreachable(url: str, reason: str) -> FileMissing:
    return PathMissing(f"{url} is not cached, and {reason} forbids a request for it. Do: allow "
                       f"requests once, or give the path of a copy")


def checksum(path: str, record_checksum: bool = True) -> dict[str, Any]:
    """{"num_bytes": its size, "checksum": its SHA-256, or None unless `record_checksum`}."""
    from hashlib import sha256

    found = None
    if record_checksum:
        found = sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    size = os.path.getsize(path)
    return {"num_bytes": size, "checksum": found.hexdigest() if found else None}


def one_of(kind: type[Any], value: Any, default: Any, name: str) -> Any:
    """The member of an enum that `value` names.  Raises DataError."""
    try:
        return kind(value if value is not None else default)
    except ValueError as error:
        raise DataError(f"{name}={value!r}: expected one of {[one.value for one in kind]}, or "
                        f"a {kind.__name__}") from error
