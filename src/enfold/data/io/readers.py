"""Files, queries and generators read through the builders of `load_dataset`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from enfold.data.features import Features


def read_files(kind: str, paths: Any, split: Any = None, features: Features | None = None,
               cache_dir: Any = None, keep_in_memory: bool = False, streaming: bool = False,
               num_proc: int | None = None, **options: Any) -> Any:
    """The files of one format as a dataset; a dict {split: paths} gives a dict of them.

    streaming: iterable datasets, nothing read before they are.
    """
    from enfold.data.packaged import builder_class, module_hash

    if split is None and not isinstance(paths, Mapping):
        split = "train"
    files = paths if isinstance(paths, Mapping) else {split: paths}
    builder = builder_class(kind)(cache_dir=cache_dir, data_files=files, features=features,
                                  **{"hash": module_hash(kind), **options})
    return read(builder, split, keep_in_memory, streaming, num_proc)


def read_generator(generator: Callable[..., Any], features: Features | None = None,
                   cache_dir: Any = None, keep_in_memory: bool = False,
                   gen_kwargs: dict[str, Any] | None = None, num_proc: int | None = None,
                   split: Any = "train", fingerprint: str | None = None,
                   options: Mapping[str, Any] | None = None, streaming: bool = False) -> Any:
    """The rows that a generator yields, as a dataset."""
    from enfold.data.packaged.generator import Generator

    key = f"default-fingerprint={fingerprint}" if fingerprint else None
    builder = Generator(cache_dir=cache_dir, features=features, generator=generator,
                        gen_kwargs=gen_kwargs, split=split, config_id=key, **(options or {}))
    dataset = read(builder, builder.config.split, keep_in_memory, streaming, num_proc)
    if fingerprint and not streaming:
        dataset._fingerprint = fingerprint
    return dataset


def read_sql(sql: Any, con: Any, features: Features | None = None, cache_dir: Any = None,
             keep_in_memory: bool = False, options: Mapping[str, Any] | None = None) -> Any:
    """The rows of a query, as a dataset."""
    from enfold.data.packaged.sql import Sql

    builder = Sql(cache_dir=cache_dir, features=features, sql=sql, con=con, **(options or {}))
    return read(builder, "train", keep_in_memory)


def read_spark(df: Any, split: Any = None, features: Features | None = None,
               keep_in_memory: bool = False, cache_dir: Any = None, working_dir: Any = None,
               load_from_cache_file: bool = True, options: Mapping[str, Any] | None = None,
               streaming: bool = False, file_format: str = "arrow") -> Any:
    """The rows of a Spark DataFrame, as a dataset."""
    from enfold.data.download import DownloadMode
    from enfold.data.packaged.spark import Spark

    builder = Spark(df=df, features=features, cache_dir=cache_dir, working_dir=working_dir,
                    **(options or {}))
    split = split or "train"
    if streaming:
        return builder.as_streaming_dataset(split=split)
    mode = None if load_from_cache_file else DownloadMode.FORCE_REDOWNLOAD
    builder.download_and_prepare(download_mode=mode, file_format=file_format)
    return builder.as_dataset(split=split, in_memory=keep_in_memory)


def read(builder: Any, split: Any, keep_in_memory: bool = False, streaming: bool = False,
         num_proc: int | None = None) -> Any:
    """What a builder prepares, as a dataset."""
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split, in_memory=keep_in_memory)
