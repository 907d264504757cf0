"""Folders of media files: a row a file, with labels from folders or columns from metadata files.

    images/cat/1.jpg, images/dog/2.jpg            image, label ("cat", "dog")
    images/1.jpg, images/metadata.csv             image, by file_name, and the metadata's columns
    metadata: file_name, a_file_name, file_names  -> image, a, images (a list)

metadata.csv, .jsonl or .parquet; a path in it is relative to it and stays below its folder.
Files lie as they are, in zip archives, or remote; no file is opened until its row is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.builder import Key
from enfold.data.datafiles import storage_of
from enfold.data.features import ClassLabel, Features, cast_table
from enfold.data.info import DatasetInfo
from enfold.data.packaged.base import SourceBuilder, SourceConfig
from enfold.data.packaged.filenames import media_features, with_paths
from enfold.data.sources import READERS, Source, expand
from enfold.data.splits import SplitGenerator
from enfold.errors import DataError

_log = getLogger(__name__)
ROWS = 10_000  # of a table of paths
METADATA_FORMATS = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}


@dataclass
class FolderBasedBuilderConfig(SourceConfig):
    """drop_labels: where there is no metadata, None has labels if all files are equally deep, in
    more than one folder, False always, True never.  drop_metadata: leave metadata files unread.

    metadata_filenames: their names, metadata.csv, .jsonl and .parquet by default.  filters: as of
    Parquet, on the metadata, or the paths where there is none.  decode_num_threads: for streams.
    """

    drop_labels: bool | None = None
    drop_metadata: bool | None = None
    metadata_filenames: list[str] | None = None
    filters: Any = None
    decode_num_threads: int = 32


class FolderBasedBuilder(SourceBuilder):
    """A kind of media.  BASE_FEATURE: its feature.  BASE_COLUMN_NAME: the column's name.

    EXTENSIONS: of its files.  METADATA_FILENAMES: what its metadata files are called.
    """

    BASE_FEATURE: ClassVar[Any]
    BASE_COLUMN_NAME: ClassVar[str]
    EXTENSIONS: ClassVar[list[str]]
    METADATA_FILENAMES: ClassVar[list[str]] = ["metadata.csv", "metadata.jsonl",
                                               "metadata.parquet"]

    def _info(self) -> DatasetInfo:
        if not self.config.data_dir and not self.config.data_files:
            raise DataError("Folder-based datasets require either `data_dir` or `data_files` to "
                            "be specified. Got neither")
        return super()._info()

    def _base_feature(self) -> Any:
        return self.BASE_FEATURE()

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        if not self.config.data_files:
            raise DataError(f"At least one data file must be specified, but got "
                            f"data_files={self.config.data_files}. Do: pass data_dir=")
        self._begin(dl_manager)
        media, metadata = {}, {}
        for split, files in self.config.data_files.items():
            media[split], metadata[split] = self._sorted_out(dl_manager, files)
        labels = self._labels([one for many in media.values() for one in many],
                              any(metadata.values()))
        if any(metadata.values()) and not self.config.drop_metadata:
            self._describe(metadata)
            return [SplitGenerator(split, {"metadata_files": files})
                    for split, files in metadata.items()]
        if self._asked is None:
            label = {"label": ClassLabel(names=labels)} if labels is not None else {}
            self.info.features = self._known = Features(
                {self.BASE_COLUMN_NAME: self._base_feature(), **label})
        return [SplitGenerator(split, {"files": [file for _, file in files],
                                       "labels": tuple(_folder(name) for name, _ in files)
                                       if labels is not None else None})
                for split, files in media.items()]

    def _sorted_out(self, dl_manager: Any, files: Sequence[str]) -> tuple[
            list[tuple[str, str]], list[str]]:
        """Media files as (name as given, where it is), and metadata files."""
        names = self.config.metadata_filenames or self.METADATA_FILENAMES
        found: list[tuple[str, str]] = []
        for given, path in zip(files, dl_manager.download(list(files)), strict=True):
            if str(given).lower().endswith(".zip"):
                found += [(inner, inner) for inner in dl_manager.iter_files(
                    dl_manager.extract(path))]
            else:
                found.append((str(given), path))
        media = [(name, path) for name, path in found if self._is_media(name)]
        metadata = [path for name, path in found if _name(name) in names]
        if len(media) + len(metadata) < len(found):
            _log.debug("%d files are left out: no %s, and not called %s", len(found) - len(media)
                       - len(metadata), self.BASE_COLUMN_NAME, names)
        return media, metadata

    def _is_media(self, name: str) -> bool:
        return any(f".{part}" in self.EXTENSIONS
                   for part in _name(name).lower().split(".")[1:][-2:])

    def _labels(self, media: Sequence[tuple[str, str]], metadata: bool) -> list[str] | None:
        """The names of the labels, None where there are to be none."""
        drop = self.config.drop_labels
        if drop or metadata:
            return None
        found = {_folder(name) for name, _ in media}
        depths = {name.replace("\\", "/").count("/") for name, _ in media}
        if drop is None and (len(found) < 2 or len(depths) != 1):
            return None
        return sorted(found)

    def _describe(self, metadata: dict[str, list[str]]) -> None:
        """Set the features from what the metadata files hold.  Raises DataError."""
        files = [file for many in metadata.values() for file in many]
        endings = {os.path.splitext(_name(file))[1] for file in files}
        if len(endings) > 1:
            raise DataError(f"Found metadata files with different extensions: {sorted(endings)}. "
                            f"Expected one of them. Do: drop_metadata=True, or "
                            f"metadata_filenames=")
        source = self._metadata(files)
        self._known = self._known if self._known is not None else source.features
        made = media_features(self._known, self.BASE_COLUMN_NAME, self._base_feature())
        if self._asked is None:
            self.info.features = made

    def _begin(self, dl_manager: Any) -> None:
        self._streaming = bool(getattr(dl_manager, "is_streaming", False))
        self._asked = self.config.features

    def _metadata(self, files: Sequence[str]) -> Source:
        format_ = METADATA_FORMATS[os.path.splitext(_name(files[0]))[1]]
        keep = {"filters": self.config.filters} if format_ == "parquet" else {}
        found = [one for path in files for one in expand(path, storage_of(path, self))]
        return Source(READERS[format_](None, **keep), found, strict=self.config.strict,
                      known=self._known)

    def _whole(self, splits: Sequence[SplitGenerator]) -> Source:
        return self._metadata([file for split in splits
                               for file in split.gen_kwargs["metadata_files"]])

    def _generate_shards(self, files: Sequence[str] = (),  # type: ignore[override]
                         labels: Any = None, metadata_files: Sequence[str] = ()) -> Iterator[Any]:
        yield from metadata_files or files

    def _generate_tables(self, files: Sequence[str] = (),  # type: ignore[override]
                         labels: Any = None, metadata_files: Sequence[str] = ()
                         ) -> Iterator[tuple[Key, pa.Table]]:
        if metadata_files:
            source = self._metadata(metadata_files)
            for key, table in self._tables(source, range(len(metadata_files))):
                file = metadata_files[key.original_shard_id]
                yield key, self._cast(with_paths(self._filtered(table), self.BASE_COLUMN_NAME,
                                                 file))
            return
        for start in range(0, len(files), ROWS):
            columns = {self.BASE_COLUMN_NAME: pa.array(files[start:start + ROWS], pa.string())}
            if labels is not None:
                columns["label"] = pa.array(labels[start:start + ROWS], pa.string())
            yield Key(start, 0), self._cast(self._filtered(pa.table(columns)))

    def _filtered(self, table: pa.Table) -> pa.Table:
        keep = self.config.filters
        if isinstance(keep, list):
            import pyarrow.parquet as papq
            keep = papq.filters_to_expression(keep)
        return table if keep is None else table.filter(keep)

    def _cast(self, table: pa.Table) -> pa.Table:
        features = self._asked or self.info.features
        return table if features is None else cast_table(table, features, fill_missing=True)


def _name(path: str) -> str:
    return path.split("::")[0].replace("\\", "/").rsplit("/", 1)[-1]


def _folder(path: str) -> str:
    parts = path.split("::")[0].replace("\\", "/").rsplit("/", 2)
    return parts[-2] if len(parts) > 1 else ""
