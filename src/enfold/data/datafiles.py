"""Data files of each split: resolved paths with what tells that a file has changed.

`DataFilesPatternsDict` is what a configuration says, `DataFilesDict` the files it stands for.
Their digest changes when a file's path, size or time of change does, its ETag, or the commit of
its repository; not with the order of the splits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import Any

from enfold.data import config
from enfold.data.sources import patterns as rules
from enfold.data.sources.opening import is_url
from enfold.data.sources.patterns import sanitize_patterns
from enfold.data.sources.walk import one_walk
from enfold.errors import FileMissing
from enfold.lazy import require

__all__ = ["DataFilesDict", "DataFilesList", "DataFilesNotFoundError", "DataFilesPatternsDict",
           "DataFilesPatternsList", "EmptyDatasetError", "get_data_patterns", "resolve_pattern",
           "sanitize_patterns", "storage_of"]

COMMIT = re.compile(r"hf://datasets/([^/@]+/[^/@]+)@([0-9a-f]{40})/")
THREADS = 16  # to ask for the metadata of remote files
Origin = tuple[str, ...]


class DataFilesNotFoundError(FileMissing, FileNotFoundError):
    """No file of a format that is known."""


class EmptyDatasetError(DataFilesNotFoundError):
    """A folder or repository without data files."""


def storage_of(path: str, download_config: Any = None) -> dict[str, Any]:
    """The options of the fsspec filesystem of a path, by a DownloadConfig's token and options.

    `storage_options` may be `{"s3": {...}}` or the options themselves.
    """
    given = dict(getattr(download_config, "storage_options", None) or {})
    found: dict[str, Any] = {}
    for hop in path.split("::"):
        protocol = hop.split("://")[0] if "://" in hop else "file"
        known = require("fsspec").available_protocols
        own = given.get(protocol, {name: value for name, value in given.items()
                                   if name not in known()} if given else {})
        if protocol == "hf":
            own = {"endpoint": config.setting("HF_ENDPOINT"),
                   "token": getattr(download_config, "token", None)} | own
        if own:
            found[protocol] = own
    return found if "::" in path else next(iter(found.values()), {})


def resolve_pattern(pattern: str, base_path: str, allowed_extensions: list[str] | None = None,
                    download_config: Any = None) -> list[str]:
    """The files a path, glob or URL stands for.  Raises FileNotFoundError for none."""
    pattern = os.fspath(pattern)
    full = pattern if is_url(pattern) or not is_url(base_path) else base_path
    try:
        return rules.resolve_pattern(pattern, base_path, allowed_extensions,
                                     storage_of(full, download_config))
    except FileNotFoundError:
        raise
    except FileMissing as error:
        raise DataFilesNotFoundError(str(error)) from error


def get_data_patterns(base_path: str, download_config: Any = None) -> dict[str, list[str]]:
    """The patterns of each split's files, by their names.  Raises EmptyDatasetError for none."""
    try:
        return rules.get_data_patterns(base_path, storage_of(base_path, download_config))
    except (FileMissing, FileNotFoundError) as error:
        raise EmptyDatasetError(f"The directory at {base_path} doesn't contain any data files. "
                                f"Expected files such as train.csv or data/*.parquet") from error


def _origin(path: str, download_config: Any) -> Origin:
    """What changes with a file: size and time of change, ETag, or repository and commit."""
    if not is_url(path):
        stat = os.stat(path)
        return (str(stat.st_mtime_ns), str(stat.st_size))
    if at_commit := COMMIT.match(path):
        return (at_commit[1], at_commit[2])
    system, inner = require("fsspec").core.url_to_fs(path, **storage_of(path, download_config))
    if hasattr(system, "resolve_path"):
        place = system.resolve_path(inner)
        if hasattr(place, "revision"):
            return (place.repo_id, place.revision)
    info = system.info(inner)
    found = next((info[key] for key in ("ETag", "etag", "mtime") if key in info), None)
    return () if found is None else (str(found),)


def _origins(paths: Sequence[str], download_config: Any) -> list[Origin]:
    tell = partial(_origin, download_config=download_config)
    if len(paths) < 2 or not any(map(is_url, paths)) or all("hf://" in path for path in paths):
        return [tell(path) for path in paths]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(tell, paths))


def _resolved(pairs: Iterable[tuple[str, list[str] | None]], base_path: str | None,
              download_config: Any) -> DataFilesList:
    """The files of (pattern, allowed extensions); a glob may find nothing, a path may not."""
    base = base_path if base_path is not None else Path().resolve().as_posix()
    files: list[str] = []
    globbed: set[str] = set()  # a file that several globs find is one file
    with one_walk():
        for pattern, extensions in pairs:
            try:
                found = resolve_pattern(pattern, base, extensions, download_config)
            except FileNotFoundError:
                if not has_magic(pattern):
                    raise
                continue
            if has_magic(pattern):
                found = [file for file in found if file not in globbed]
                globbed.update(found)
            files += found
    return DataFilesList(files, _origins(files, download_config))


class DataFilesList(list[str]):
    """Files of one split, absolute paths or URLs.  origin_metadata: what changes with each."""

    def __init__(self, data_files: Iterable[str], origin_metadata: list[Origin]) -> None:
        super().__init__(data_files)
        self.origin_metadata = origin_metadata

    def __enfold_digest__(self) -> Any:
        return repr((list(self), self.origin_metadata))

    def __add__(self, other: Any) -> DataFilesList:  # type: ignore[override]
        return DataFilesList([*self, *other], self.origin_metadata + other.origin_metadata)

    @classmethod
    def from_patterns(cls, patterns: list[str], base_path: str | None = None,
                      allowed_extensions: list[str] | None = None,
                      download_config: Any = None) -> DataFilesList:
        """The files of patterns below a folder, repository or URL; see `resolve_pattern`."""
        return _resolved([(pattern, allowed_extensions) for pattern in patterns], base_path,
                         download_config)

    from_local_or_remote = from_patterns

    @classmethod
    def from_hf_repo(cls, patterns: list[str], dataset_info: Any, base_path: str | None = None,
                     allowed_extensions: list[str] | None = None,
                     download_config: Any = None) -> DataFilesList:
        """The files of patterns in a repository, by its huggingface_hub DatasetInfo."""
        return cls.from_patterns(patterns, _repository(dataset_info, base_path),
                                 allowed_extensions, download_config)

    def filter(self, *, extensions: list[str] | None = None,
               file_names: list[str] | None = None) -> DataFilesList:
        """The files with one of the extensions, perhaps followed by others, or of these names."""
        kinds, names = set(extensions or ()), tuple(file_names or ())
        kept = [number for number, file in enumerate(self)
                if not (kinds or names) or (names and file.endswith(names))
                or not kinds.isdisjoint(f".{part}" for part in _parts(file))]
        whole = len(self.origin_metadata) == len(self)
        return DataFilesList([self[number] for number in kept],
                             [self.origin_metadata[number] for number in kept]
                             if whole else self.origin_metadata)


def _parts(file: str) -> list[str]:
    """`csv` and `gz` of a/b.csv.gz."""
    return file.split("::")[0].rsplit("/", 1)[-1].lower().split(".")[1:]


def _repository(info: Any, base_path: str | None) -> str:
    return f"hf://datasets/{info.id}@{info.sha}/{base_path or ''}".rstrip("/")


class DataFilesDict(dict[str, DataFilesList]):
    """{split: its DataFilesList}."""

    @classmethod
    def from_patterns(cls, patterns: Mapping[str, Any], base_path: str | None = None,
                      allowed_extensions: list[str] | None = None,
                      download_config: Any = None) -> DataFilesDict:
        """The files of each split's patterns, or its DataFilesList as it is."""
        return cls._by_split(patterns, lambda many: DataFilesList.from_patterns(
            many, base_path, allowed_extensions, download_config))

    from_local_or_remote = from_patterns

    @classmethod
    def from_hf_repo(cls, patterns: Mapping[str, Any], dataset_info: Any,
                     base_path: str | None = None, allowed_extensions: list[str] | None = None,
                     download_config: Any = None) -> DataFilesDict:
        """The files of each split's patterns in a repository."""
        return cls.from_patterns(patterns, _repository(dataset_info, base_path),
                                 allowed_extensions, download_config)

    @classmethod
    def _by_split(cls, patterns: Mapping[str, Any],
                  resolve: Callable[[Any], DataFilesList]) -> DataFilesDict:
        with one_walk():
            return cls({split: many if isinstance(many, DataFilesList) else resolve(many)
                        for split, many in patterns.items()})

    def filter(self, *, extensions: list[str] | None = None,
               file_names: list[str] | None = None) -> DataFilesDict:
        """As `DataFilesList.filter`, for each split."""
        return type(self)({split: files.filter(extensions=extensions, file_names=file_names)
                           for split, files in self.items()})


class DataFilesPatternsList(list[str]):
    """Patterns of one split.  allowed_extensions: for each of them; None allows all."""

    def __init__(self, patterns: Iterable[str],
                 allowed_extensions: list[list[str] | None]) -> None:
        super().__init__(patterns)
        self.allowed_extensions = allowed_extensions

    def __enfold_digest__(self) -> Any:
        return list(self), self.allowed_extensions

    def __add__(self, other: Any) -> DataFilesPatternsList:  # type: ignore[override]
        return DataFilesPatternsList([*self, *other],
                                     self.allowed_extensions + other.allowed_extensions)

    @classmethod
    def from_patterns(cls, patterns: list[str],
                      allowed_extensions: list[str] | None = None) -> DataFilesPatternsList:
        """The same extensions for all patterns."""
        return cls(patterns, [allowed_extensions] * len(patterns))

    def resolve(self, base_path: str | None, download_config: Any = None) -> DataFilesList:
        """The files below a folder, repository or URL."""
        return _resolved(zip(self, self.allowed_extensions, strict=True), base_path,
                         download_config)

    def filter_extensions(self, extensions: list[str]) -> DataFilesPatternsList:
        """With more extensions allowed."""
        return DataFilesPatternsList(self, [(allowed or []) + extensions
                                            for allowed in self.allowed_extensions])


class DataFilesPatternsDict(dict[str, DataFilesPatternsList]):
    """{split: its DataFilesPatternsList}."""

    @classmethod
    def from_patterns(cls, patterns: Mapping[str, Any],
                      allowed_extensions: list[str] | None = None) -> DataFilesPatternsDict:
        """Patterns of each split, or its DataFilesPatternsList as it is."""
        return cls({split: many if isinstance(many, DataFilesPatternsList)
                    else DataFilesPatternsList.from_patterns(many, allowed_extensions)
                    for split, many in patterns.items()})

    def resolve(self, base_path: str | None, download_config: Any = None) -> DataFilesDict:
        """The files of each split."""
        return DataFilesDict({split: many.resolve(base_path, download_config)
                              for split, many in self.items()})

    def filter_extensions(self, extensions: list[str]) -> DataFilesPatternsDict:
        """With more extensions allowed."""
        return type(self)({split: many.filter_extensions(extensions)
                           for split, many in self.items()})
