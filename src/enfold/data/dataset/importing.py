"""Datasets of data frames, generators, files, queries."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import pyarrow as pa

from enfold.data.dataset.base import Base
from enfold.data.dataset.making import _given
from enfold.data.features import Features, cast_table
from enfold.data.frame import Frame
from enfold.data.info import DatasetInfo
from enfold.data.splits import NamedSplit, Split

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Importing(Base):
    """What makes datasets of what other formats and libraries hold.

    Files are read once, to Arrow files in `cache_dir` (default: the cache of `datasets`), which are
    mapped; the next call with the same files and options finds those.  Common arguments:

    split: the name of the split that the dataset is.  features: what to read the columns as.
    keep_in_memory: read the result into memory.  num_proc: processes, a share of the files each.
    kwargs: of the format, as for `load_dataset`.
    """

    @classmethod
    def from_pandas(cls, df: Any, features: Features | None = None,
                    info: DatasetInfo | None = None, split: NamedSplit | None = None,
                    preserve_index: bool | None = None) -> Self:
        """The dataset of a pandas DataFrame, in memory.

        preserve_index: keep the index as a column; None does unless it is a RangeIndex.
        """
        from enfold.data.io.frames import table_of_pandas

        return cls._of_table(table_of_pandas(df, preserve_index), features, info, split)

    @classmethod
    def from_polars(cls, df: Any, features: Features | None = None,
                    info: DatasetInfo | None = None, split: NamedSplit | None = None) -> Self:
        """The dataset of a polars DataFrame or LazyFrame, in memory, mostly without a copy."""
        from enfold.data.io.frames import table_of_polars

        return cls._of_table(table_of_polars(df), features, info, split)

    @classmethod
    def _of_table(cls, table: pa.Table, features: Features | None, info: DatasetInfo | None,
                  split: NamedSplit | None) -> Self:
        features = _given(features, info)
        found = Features.from_arrow_schema(table.schema)
        if features is None:
            features = found
        table = cast_table(table, features)
        return cls._loaded(Frame.of(table), features, info, split)  # type: ignore[attr-defined,no-any-return]

    @classmethod
    def from_csv(cls, path_or_paths: Paths, split: NamedSplit | str | None = None,
                 features: Features | None = None, cache_dir: str | None = None,
                 keep_in_memory: bool = False, num_proc: int | None = None, **kwargs: Any) -> Any:
        """The dataset in CSV files."""
        return _read("csv", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc,
                     kwargs)

    @classmethod
    def from_json(cls, path_or_paths: Paths, split: NamedSplit | str | None = None,
                  features: Features | None = None, cache_dir: str | None = None,
                  keep_in_memory: bool = False, field: str | None = None,
                  num_proc: int | None = None, **kwargs: Any) -> Any:
        """The dataset in JSON or JSON Lines files.  field: where in a document its rows are."""
        return _read("json", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc,
                     {"field": field, **kwargs})

    @classmethod
    def from_parquet(cls, path_or_paths: Paths, split: NamedSplit | str | None = None,
                     features: Features | None = None, cache_dir: str | None = None,
                     keep_in_memory: bool = False, columns: list[str] | None = None,
                     num_proc: int | None = None, filters: Any = None,
                     fragment_scan_options: Any = None,
                     on_bad_files: Literal["error", "warn", "skip"] = "error",
                     **kwargs: Any) -> Any:
        """The dataset in Parquet files.  columns: only these; filters: only rows they match."""
        options = {"columns": columns, "filters": filters, "on_bad_files": on_bad_files,
                   "fragment_scan_options": fragment_scan_options}
        return _read("parquet", path_or_paths, split, features, cache_dir, keep_in_memory,
                     num_proc, {**options, **kwargs})

    @classmethod
    def from_text(cls, path_or_paths: Paths, split: NamedSplit | str | None = None,
                  features: Features | None = None, cache_dir: str | None = None,
                  keep_in_memory: bool = False, num_proc: int | None = None,
                  keep_linebreaks: bool = False,
                  sample_by: Literal["line", "paragraph", "document"] = "line",
                  **kwargs: Any) -> Any:
        """The dataset of the lines, paragraphs or whole contents of text files."""
        options = {"keep_linebreaks": keep_linebreaks, "sample_by": sample_by}
        return _read("text", path_or_paths, split, features, cache_dir, keep_in_memory, num_proc,
                     {**options, **kwargs})

    @classmethod
    def from_generator(cls, generator: Callable[..., Any], features: Features | None = None,
                       cache_dir: str | None = None, keep_in_memory: bool = False,
                       gen_kwargs: dict[str, Any] | None = None, num_proc: int | None = None,
                       split: NamedSplit | str = Split.TRAIN, fingerprint: str | None = None,
                       **kwargs: Any) -> Any:
        """The dataset of the rows (dicts) that `generator(**gen_kwargs)` yields, cached.

        num_proc: processes; lists in gen_kwargs, all of one length, are parted among them.
        fingerprint: the key of the result in the cache, where hashing the generator is slow.
        """
        from enfold.data.io.readers import read_generator

        return read_generator(generator, features, cache_dir, keep_in_memory, gen_kwargs, num_proc,
                              split, fingerprint, kwargs)

    @classmethod
    def from_sql(cls, sql: Any, con: Any, features: Features | None = None,
                 cache_dir: str | None = None, keep_in_memory: bool = False,
                 **kwargs: Any) -> Any:
        """The dataset of a query, a table's name or a selectable of SQLAlchemy.

        con: a URL, or an open connection; only with a URL is the result found in the cache again.
        """
        from enfold.data.io.readers import read_sql

        return read_sql(sql, con, features, cache_dir, keep_in_memory, kwargs)

    @classmethod
    def from_spark(cls, df: Any, split: NamedSplit | str | None = None,
                   features: Features | None = None, keep_in_memory: bool = False,
                   cache_dir: str | None = None, working_dir: str | None = None,
                   load_from_cache_file: bool = True, **kwargs: Any) -> Any:
        """The dataset of a Spark DataFrame, written by Spark's workers to `cache_dir`."""
        from enfold.data.io.readers import read_spark

        return read_spark(df, split, features, keep_in_memory, cache_dir, working_dir,
                          load_from_cache_file, kwargs)


def _read(kind: str, paths: Paths, split: Any, features: Features | None, cache_dir: Any,
          keep_in_memory: bool, num_proc: int | None, options: dict[str, Any]) -> Any:
    from enfold.data.io.readers import read_files

    return read_files(kind, paths, split, features, cache_dir, keep_in_memory, num_proc=num_proc,
                      **options)
