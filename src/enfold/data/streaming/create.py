"""`IterableDataset.from_...`: streams of generators, files, frames and what is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import pyarrow as pa

from enfold.data import sources
from enfold.data.features import Features
from enfold.data.frame import Frame, open_file
from enfold.data.info import DatasetInfo
from enfold.data.splits import NamedSplit, Split
from enfold.data.streaming import arguments
from enfold.data.streaming.origins import Examples, Files, Frames, Tables
from enfold.data.streaming.transforms import Transformed
from enfold.errors import DataError

FEATURES_STORED = ("arrow", "parquet")


class Created(Transformed):
    """Where datasets come from."""

    @classmethod
    def from_generator(cls, generator: Callable[..., Any], features: Any = None,
                       gen_kwargs: Mapping[str, Any] | None = None,
                       split: NamedSplit = Split.TRAIN) -> Self:
        """The rows that a generator function yields, as dicts.

        features: of the rows; unknown without.  gen_kwargs: its keyword arguments; lists among
        them are shards, of which a worker gets some.  Raises DataError where they differ in
        length.
        """
        if not callable(generator):
            raise DataError(f"from_generator: got a {type(generator).__name__}. Expected a "
                            f"function that returns a generator, so that it can be run again")
        node = Examples(tuple(arguments.single(gen_kwargs or {})), generator)
        return cls(node, _described(None, features), split)

    @classmethod
    def from_frame(cls, frame: Frame | pa.Table, features: Features | None = None,
                   num_shards: int = 1, info: DatasetInfo | None = None,
                   split: NamedSplit | None = None) -> Self:
        """The rows of a frame or table, in `num_shards` equal parts."""
        if not isinstance(frame, Frame):
            features = features or Features.from_arrow_schema(frame.schema)
            frame = Frame.of(frame)
        return cls(Frames.of(frame, num_shards or 1), _described(info, features), split)

    @classmethod
    def from_source(cls, source: sources.Source, features: Features | None = None,
                    info: DatasetInfo | None = None, split: NamedSplit | None = None) -> Self:
        """The rows of files, a shard per file.

        features: what they are cast to; without, a file's own types, widened where later rows ask
        for it.
        """
        return cls(Files.of(source), _described(info, features), split)

    @classmethod
    def _from_files(cls, fmt: str, paths: Any, split: Any, features: Any, **options: Any) -> Self:
        options.pop("cache_dir", None)
        source = sources.read(fmt, paths, features=features, **options)
        known = features or (source.features if fmt in FEATURES_STORED else None)
        return cls.from_source(source, known, split=split or Split.TRAIN)

    @classmethod
    def from_file(cls, filename: str) -> Self:
        """The rows of an Arrow file, memory-mapped."""
        return cls.from_frame(open_file(filename))

    @classmethod
    def from_csv(cls, path_or_paths: Any, split: NamedSplit | None = None, features: Any = None,
                 keep_in_memory: bool = False, **kwargs: Any) -> Self:
        """The rows of CSV files; kwargs: how they are written, as `load_dataset("csv")` takes."""
        return cls._from_files("csv", path_or_paths, split, features, **kwargs)

    @classmethod
    def from_json(cls, path_or_paths: Any, split: NamedSplit | None = None, features: Any = None,
                  keep_in_memory: bool = False, field: str | None = None, **kwargs: Any) -> Self:
        """The rows of JSON or JSON Lines files; field: where in the document they are."""
        return cls._from_files("json", path_or_paths, split, features, field=field, **kwargs)

    @classmethod
    def from_parquet(cls, path_or_paths: Any, split: NamedSplit | None = None,
                     features: Any = None, keep_in_memory: bool = False,
                     columns: list[str] | None = None, filters: Any = None,
                     fragment_scan_options: Any = None, on_bad_files: str = "error",
                     **kwargs: Any) -> Self:
        """The rows of Parquet files.

        columns: read only these.  filters: a pyarrow expression, or (column, op, value) tuples.
        on_bad_files: "error", "warn", "skip".
        """
        return cls._from_files("parquet", path_or_paths, split, features, columns=columns,
                               filters=filters, fragment_scan_options=fragment_scan_options,
                               on_bad_files=on_bad_files, **kwargs)

    @classmethod
    def from_text(cls, path_or_paths: Any, split: NamedSplit | None = None, features: Any = None,
                  keep_in_memory: bool = False, keep_linebreaks: bool = False,
                  sample_by: str = "line", **kwargs: Any) -> Self:
        """The lines, paragraphs or documents (`sample_by`) of text files."""
        return cls._from_files("text", path_or_paths, split, features, sample_by=sample_by,
                               keep_linebreaks=keep_linebreaks, **kwargs)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], features: Any = None,
                  info: DatasetInfo | None = None, split: NamedSplit | None = None,
                  num_shards: int | None = 1) -> Self:
        """The rows of a dict of columns, in `num_shards` equal parts."""
        return cls._of_dataset("from_dict", mapping, features, info, split, num_shards)

    @classmethod
    def from_list(cls, mapping: Sequence[Mapping[str, Any]], features: Any = None,
                  info: DatasetInfo | None = None, split: NamedSplit | None = None,
                  num_shards: int | None = 1) -> Self:
        """The rows of a list of dicts, in `num_shards` equal parts."""
        return cls._of_dataset("from_list", mapping, features, info, split, num_shards)

    @classmethod
    def from_pandas(cls, df: Any, features: Any = None, info: DatasetInfo | None = None,
                    split: NamedSplit | None = None, preserve_index: bool | None = None,
                    num_shards: int | None = 1) -> Self:
        """The rows of a pandas frame; preserve_index: keep its index as a column."""
        return cls._of_dataset("from_pandas", df, features, info, split, num_shards,
                               preserve_index=preserve_index)

    @classmethod
    def _of_dataset(cls, method: str, data: Any, features: Any, info: DatasetInfo | None,
                    split: NamedSplit | None, num_shards: int | None, **options: Any) -> Self:
        from enfold.data.dataset import Dataset
        made = getattr(Dataset, method)(data, features=features, info=info, split=split, **options)
        return made.to_iterable_dataset(num_shards=num_shards)  # type: ignore[no-any-return]

    @classmethod
    def from_polars(cls, df: Any, features: Any = None, info: DatasetInfo | None = None,
                    split: NamedSplit | None = None) -> Self:
        """The rows of a polars frame, or lazy frame, slice by slice."""
        lazy = hasattr(df, "collect_schema") and not hasattr(df, "iter_slices")
        schema = (df.collect_schema() if lazy else df.schema).to_arrow()
        known = features or (info.features if info is not None else None)
        node = Tables(({"df": df},), _slices)
        return cls(node, _described(info, known or Features.from_arrow_schema(schema)), split)

    @classmethod
    def from_spark(cls, df: Any, split: NamedSplit | None = None, features: Any = None,
                   **kwargs: Any) -> Self:
        """The rows of a Spark frame, fetched to this machine as they are read."""
        if kwargs:
            raise NotImplementedError(f"from_spark: {sorted(kwargs)} are not taken when streaming. "
                                      f"Do: leave them out")
        node = Examples(({"df": df},), _spark_rows)
        return cls(node, _described(None, features), split or Split.TRAIN)


def _described(info: DatasetInfo | None, features: Any) -> DatasetInfo:
    """The info with these features.  Raises DataError where it has others."""
    if info is not None and features is not None and info.features not in (None, features):
        raise DataError(f"Features specified in `features` and `info.features` can't be different:"
                        f"\n{features}\n{info.features}")
    info = DatasetInfo() if info is None else info.copy()
    info.features = info.features if features is None else Features(features)
    return info


def _slices(df: Any) -> Iterator[pa.Table]:
    slices = df.iter_slices() if hasattr(df, "iter_slices") else df.collect_batches()
    yield from (part.to_arrow() for part in slices)


def _spark_rows(df: Any) -> Iterator[dict[str, Any]]:
    for row in df.toLocalIterator():
        yield row.asDict(recursive=True)
