"""`StreamingDownloadManager`: the URLs of files to read from where they are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, BinaryIO

from enfold.data.download.archives import ZIP, archive_files, files_below
from enfold.data.download.compressed import EXTENSIONS
from enfold.data.download.config import DownloadConfig
from enfold.data.download.paths import is_relative_path, url_or_path_join, xopen
from enfold.data.nested import map_nested
from enfold.data.sources.opening import MAGIC, TARS

_PLAIN = {"txt", "csv", "json", "jsonl", "tsv", "conll", "conllu", "orig", "parquet", "pkl",
          "pickle", "rel", "xml", "arrow"}
_BY_EXTENSION = {"zip": "zip", "eval": "zip", **{
    extension.lstrip("."): name for name, many in EXTENSIONS.items() for extension in many}}


class StreamingDownloadManager:
    """A download manager that fetches nothing: `xopen` reads the URLs it gives where they are.

    The arguments are those of `DownloadManager`.
    """

    is_streaming = True

    def __init__(self, dataset_name: str | None = None, data_dir: str | None = None,
                 download_config: DownloadConfig | None = None,
                 base_path: str | None = None) -> None:
        self._dataset_name, self._data_dir = dataset_name, data_dir
        self._base_path = base_path or os.path.abspath(".")
        self.download_config = download_config or DownloadConfig()
        self.downloaded_size: int | None = None
        self.record_checksums = False

    @property
    def manual_dir(self) -> str | None:
        """The folder of files that the user has fetched."""
        return self._data_dir

    def download(self, url_or_urls: Any) -> Any:
        """The URLs themselves, relative ones joined to the base path; lists and dicts of them."""
        return map_nested(self._absolute, url_or_urls)

    def extract(self, url_or_urls: Any) -> Any:
        """The URLs of what is inside: `gzip://a.txt::https://host/a.txt.gz`, `zip://::b.zip`.

        Raises NotImplementedError for a tar: use `iter_archive`.
        """
        return map_nested(self._inside, url_or_urls)

    def download_and_extract(self, url_or_urls: Any) -> Any:
        """`extract(download(url_or_urls))`."""
        return self.extract(self.download(url_or_urls))

    def iter_archive(self, urlpath_or_buf: Any) -> Iterable[tuple[str, BinaryIO]]:
        """(name, file object) of the files in an archive: a path, URL or binary file object."""
        return archive_files(urlpath_or_buf, self.download_config)

    def iter_files(self, urlpaths: Any) -> Iterable[str]:
        """The paths of the files below folders, archives (`zip://::b.zip`) and files."""
        return files_below(urlpaths, self.download_config)

    def manage_extracted_files(self) -> None:
        """Nothing: there are none."""

    def get_recorded_sizes_checksums(self) -> dict[str, Any]:
        """Nothing is downloaded, so there are none."""
        return {}

    def _absolute(self, url: Any) -> str:
        path = str(url)
        return url_or_path_join(self._base_path, path) if is_relative_path(path) else path

    def _inside(self, url: Any) -> str:
        path = str(url)
        if _is_tar(path):
            raise NotImplementedError(
                f"{path}: a tar can't be opened at a file inside it while streaming. Do: "
                f"`for name, file in dl_manager.iter_archive(dl_manager.download(url)): ...`")
        return on_the_fly(path, self.download_config) or path


def on_the_fly(path: str, download_config: DownloadConfig | None = None) -> str | None:
    """The URL of what is inside a packed file, to be unpacked while it is read; None if it is a
    tar, or not packed."""
    protocol = None if _is_tar(path) else _protocol(path, download_config)
    if protocol is None or protocol == "zip":
        return protocol and f"zip://::{path}"
    name = os.path.basename(path.split("::")[0])
    return f"{protocol}://{name.rpartition('.')[0] or name}::{path}"


def _protocol(url: str, download_config: DownloadConfig | None) -> str | None:
    """By the extension, else by the first bytes."""
    extension = _extension(url)
    if extension in _PLAIN:
        return None
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    with xopen(url, "rb", download_config=download_config) as file:
        head = file.read(8)
    if head.startswith(ZIP):
        return "zip"
    return next((codec for magic, codec in MAGIC.items() if head.startswith(magic)), None)


def _extension(url: str) -> str:
    """`gz` of `https://host/a.txt.gz?dl=1`, `txt` of `a.txt-00000-of-00100`."""
    last = url.split("::")[0].split(".")[-1]
    for mark in "?-_":
        last = last.split(mark)[0]
    return last


def _is_tar(url: str) -> bool:
    return _extension(url) in ("tar", "tgz") or url.split("::")[0].endswith(TARS)
