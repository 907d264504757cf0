"""`DownloadManager`: fetches and unpacks the files that a builder names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, BinaryIO

from enfold.data import config
from enfold.data.download.archives import archive_files, files_below
from enfold.data.download.cached import cached_path, checksum
from enfold.data.download.config import DownloadConfig
from enfold.data.download.paths import is_relative_path, url_or_path_join
from enfold.data.nested import flatten, map_nested
from enfold.data.sources.opening import is_url


class DownloadManager:
    """Downloads, unpacks, and remembers what it has downloaded.

    data_dir: a folder of files that the user has fetched.  base_path: of relative paths, a folder
    or URL.  record_checksums: compute the SHA-256 of what is downloaded.
    """

    is_streaming = False

    def __init__(self, dataset_name: str | None = None, data_dir: str | None = None,
                 download_config: DownloadConfig | None = None, base_path: str | None = None,
                 record_checksums: bool = False) -> None:
        self._dataset_name, self._data_dir = dataset_name, data_dir
        self._base_path = base_path or os.path.abspath(".")
        self._recorded: dict[str, dict[str, Any]] = {}
        self.record_checksums = record_checksums
        self.download_config = download_config or DownloadConfig()
        self.downloaded_paths: dict[Any, str] = {}
        self.extracted_paths: dict[Any, str] = {}

    @property
    def manual_dir(self) -> str | None:
        """The folder of files that the user has fetched."""
        return self._data_dir

    @property
    def downloaded_size(self) -> int:
        """Bytes of all that was downloaded."""
        return sum(one["num_bytes"] for one in self._recorded.values())

    def download(self, url_or_urls: Any) -> Any:
        """The local paths of URLs and paths, in the same lists and dicts.  Raises PathMissing."""
        settings = replace(self.download_config.copy(), extract_compressed_file=False)
        paths = self._all(url_or_urls, settings)
        self.downloaded_paths.update(zip(flatten(url_or_urls), flatten(paths), strict=True))
        for url, path in zip(flatten(url_or_urls), flatten(paths), strict=True):
            self._recorded[str(url)] = checksum(path, self.record_checksums)
        return paths

    def extract(self, path_or_paths: Any) -> Any:
        """What archives and compressed files unpack to, in the same lists and dicts."""
        settings = replace(self.download_config.copy(), extract_compressed_file=True)
        paths = self._all(path_or_paths, settings)
        self.extracted_paths.update(zip(flatten(path_or_paths), flatten(paths), strict=True))
        return paths

    def download_and_extract(self, url_or_urls: Any) -> Any:
        """`extract(download(url_or_urls))`."""
        return self.extract(self.download(url_or_urls))

    def iter_archive(self, path_or_buf: Any) -> Iterable[tuple[str, BinaryIO]]:
        """(name, file object) of the files in an archive: a path or a binary file object."""
        return archive_files(path_or_buf, self.download_config)

    def iter_files(self, paths: Any) -> Iterable[str]:
        """The paths of the files below folders."""
        return files_below(paths, self.download_config)

    def get_recorded_sizes_checksums(self) -> dict[str, dict[str, Any]]:
        """{URL: {"num_bytes", "checksum"}} of what was downloaded."""
        return self._recorded.copy()

    def delete_extracted_files(self) -> None:
        """Remove the files that were unpacked."""
        kept = set(self.downloaded_paths.values())
        for key, path in list(self.extracted_paths.items()):
            if path not in kept and path != str(key) and os.path.isfile(path):
                os.remove(path)
                del self.extracted_paths[key]

    def manage_extracted_files(self) -> None:
        """Remove them if the download config says so."""
        if self.download_config.delete_extracted:
            self.delete_extracted_files()

    def _all(self, urls: Any, settings: DownloadConfig) -> Any:
        """Small files are many, and their time is that of waiting: fetched in threads."""
        remote = [url for url in flatten(urls) if is_url(str(url))]
        many = len(remote) >= config.HF_DATASETS_MULTITHREADING_MAX_WORKERS
        threads = settings.num_proc or (
            config.HF_DATASETS_MULTITHREADING_MAX_WORKERS if many else 1)
        return map_nested(lambda url: self._one(str(url), settings), urls, threads)

    def _one(self, url: str, settings: DownloadConfig) -> str:
        path = url_or_path_join(self._base_path, url) if is_relative_path(url) else url
        return cached_path(path, settings)
