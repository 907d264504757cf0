"""How files are fetched: `DownloadConfig` and `DownloadMode`."""

from __future__ import annotations

import enum
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enfold.data import config
from enfold.errors import DataError


class DownloadMode(enum.Enum):
    """What to do with what is there already.

        REUSE_DATASET_IF_EXISTS   take the prepared dataset, and downloads (the default)
        REUSE_CACHE_IF_EXISTS     prepare anew, from the downloads that are there
        FORCE_REDOWNLOAD          download and prepare anew
    """

    REUSE_DATASET_IF_EXISTS = "reuse_dataset_if_exists"
    REUSE_CACHE_IF_EXISTS = "reuse_cache_if_exists"
    FORCE_REDOWNLOAD = "force_redownload"


@dataclass
class DownloadConfig:
    """How to download and unpack files.

    cache_dir: where downloads are kept (default: `enfold.data.config.DOWNLOADED_DATASETS_PATH`).
    force_download: fetch again what is there.  local_files_only: make no request.  user_agent: a
    line for HTTP headers.  extract_compressed_file: unpack archives and compressed files;
    force_extract: again;  delete_extracted: remove what was unpacked once the data is prepared;
    extract_on_the_fly: do not unpack to disk but return `gzip://..::path` URLs for `xopen`.
    use_etag: ask the server whether a cached file has changed.  num_proc: how many files to fetch
    at once.  max_retries: how often to try again after a lost connection.  token: for the Hub, a
    string, or True for the stored one.  storage_options: of fsspec filesystems, by protocol or
    plain.  download_desc, disable_tqdm: of the progress bar.

    resume_download and proxies are there for callers of old and can't be used: set HTTP_PROXY and
    HTTPS_PROXY instead.
    """

    cache_dir: str | Path | None = None
    force_download: bool = False
    resume_download: bool = False
    local_files_only: bool = False
    proxies: dict[str, Any] | None = None
    user_agent: str | None = None
    extract_compressed_file: bool = False
    force_extract: bool = False
    delete_extracted: bool = False
    extract_on_the_fly: bool = False
    use_etag: bool = True
    num_proc: int | None = None
    max_retries: int = 1
    token: str | bool | None = None
    storage_options: dict[str, Any] = field(default_factory=dict)
    download_desc: str | None = None
    disable_tqdm: bool = False

    def __post_init__(self) -> None:
        if self.proxies:
            raise DataError(f"DownloadConfig: proxies={self.proxies!r} is not used. Do: set the "
                            f"environment's HTTP_PROXY and HTTPS_PROXY, which every request reads")
        if self.resume_download:
            raise DataError("DownloadConfig: resume_download=True is not used: a download that "
                            "was cut off starts anew. Do: leave it out")
        self.token = self.token  # into the storage options

    def copy(self) -> DownloadConfig:
        """A deep copy."""
        return DownloadConfig(**{name: deepcopy(value) for name, value in self.__dict__.items()})

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "token" and "storage_options" in self.__dict__:
            hub = {"endpoint": config.setting("HF_ENDPOINT")}
            self.storage_options.setdefault("hf", hub)["token"] = value
        super().__setattr__(name, value)
