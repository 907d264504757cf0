"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.builder import Key
from enfold.data.features import Features, cast_table
from enfold.data.info import DatasetInfo
from enfold.data.packaged.base import SourceBuilder, SourceConfig
from enfold.data.sources import Source
from enfold.data.splits import SplitGenerator
from enfold.errors import DataError, nearest


@dataclass
class ParquetConfig(SourceConfig):
    """columns: read only these.  filters: a pyarrow expression, or (column, op, value) tuples.

    batch_size: rows of a batch, a row group's by default.  on_bad_files: "error", "warn", "skip".
    fragment_scan_options: pyarrow's, for instance how much to read ahead from a remote file.
    """

    batch_size: int | None = None
    columns: list[str] | None = None
    filters: Any = None
    fragment_scan_options: Any = None
    on_bad_files: str = "error"


class Parquet(SourceBuilder):
    """`load_dataset("parquet", data_files=...)`.  A stream can be parted by row groups."""

    BUILDER_CONFIG_CLASS = ParquetConfig
    FORMAT: ClassVar[str] = "parquet"
    TELLS_FEATURES: ClassVar[bool] = True

    def _info(self) -> DatasetInfo:
        features, columns = self.config.features, self.config.columns
        if features is None or columns is None:
            return DatasetInfo(features=features)
        for name in columns:
            if name not in features:
                raise DataError(f"parquet: the columns and features argument must match, but "
                                f"features has no column {name!r}{nearest(name, features)}. "
                                f"Expected some of {list(features)}")
        return DatasetInfo(features=Features({name: features[name] for name in columns}))

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        splits = super()._split_generators(dl_manager)
        for split in splits:
            split.gen_kwargs["row_groups_list"] = [None] * len(split.gen_kwargs["files"])
        return splits

    def _generate_shards(self, files: Sequence[str],  # type: ignore[override]
                         row_groups_list: Sequence[Any] = ()) -> Iterator[Any]:
        groups = [*row_groups_list, *[None] * (len(files) - len(row_groups_list))]
        for file, group in zip(files, groups, strict=True):
            yield file if group is None else {"fragment_data_file": file,
                                              "fragment_row_groups": group}

    def _generate_more_gen_kwargs(self, files: Sequence[str],
                                  row_groups_list: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The same shards, parted: a file into its row groups."""
        import pyarrow.parquet as papq
        for file, groups in zip(files, row_groups_list or [None] * len(files), strict=True):
            if groups is None:
                for one in self._files([file]):
                    with one.open_raw() as raw:
                        count = papq.ParquetFile(raw).num_row_groups
                    yield {"files": [file] * count,
                           "row_groups_list": [(number,) for number in range(count)]}
            else:
                yield {"files": [file], "row_groups_list": [groups]}

    def _get_examples_iterable_for_split(self, split_generator: SplitGenerator) -> Any:
        from enfold.data.streaming import arguments
        from enfold.data.streaming.origins import Files

        return Files(tuple(arguments.single(split_generator.gen_kwargs)), self._shard,
                     self._generate_more_gen_kwargs)

    def _shard(self, files: Sequence[str], row_groups_list: Sequence[Any] = ()) -> Source:
        """A file, or some of its row groups."""
        source = self.source(files)
        if any(groups is not None for groups in row_groups_list):
            source.reader.row_groups = row_groups_list[0]  # type: ignore[attr-defined]
        return source

    def _generate_tables(self, files: Sequence[str],  # type: ignore[override]
                         row_groups_list: Sequence[Any] = ()) -> Iterator[tuple[Key, pa.Table]]:
        if not any(groups is not None for groups in row_groups_list):
            yield from super()._generate_tables(files)
            return
        for number, (file, groups) in enumerate(zip(files, row_groups_list, strict=True)):
            for part, table in enumerate(self._row_groups(file, groups)):
                yield Key(number, part), table

    def _row_groups(self, file: str, groups: Any) -> Iterator[pa.Table]:
        import pyarrow.parquet as papq
        keep = self.config.filters
        keep = papq.filters_to_expression(keep) if isinstance(keep, list) else keep
        for one in self._files([file]):
            with one.open_raw() as raw:
                stored = papq.ParquetFile(raw)
                names = [name for name in stored.schema_arrow.names
                         if self.config.columns is None or name in self.config.columns]
                table = (stored.read(columns=names) if groups is None else
                         stored.read_row_groups(list(groups), columns=names))
                table = table if keep is None else table.filter(keep)
                yield cast_table(table, self.info.features or Features.from_arrow_schema(
                    table.schema), fill_missing=True)
