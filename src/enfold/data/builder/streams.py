"""A builder's rows as an `IterableDataset`, made while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enfold.data.download import StreamingDownloadManager
from enfold.data.nested import map_nested
from enfold.data.splits import SplitBase, SplitGenerator
from enfold.errors import DataError

if TYPE_CHECKING:
    from enfold.data.builder.base import DatasetBuilder


def as_streaming_dataset(builder: DatasetBuilder, split: Any, base_path: str | None) -> Any:
    """See `DatasetBuilder.as_streaming_dataset`."""
    if builder._is_remote:
        raise NotImplementedError(f"Loading a streaming dataset cached in a "
                                  f"{type(builder._fs).__name__} is not supported. Do: use a local "
                                  f"cache_dir")
    manager = StreamingDownloadManager(
        base_path=base_path or builder.base_path, download_config=builder._downloads(),
        dataset_name=builder.dataset_name, data_dir=builder.config.data_dir)
    generators = {one.name: one for one in builder._split_generators(manager)}
    if split is not None:
        return _chosen(builder, generators, split)
    from enfold.data.dict import IterableDatasetDict

    return IterableDatasetDict(map_nested(lambda one: one_split(builder, one), generators))


def one_split(builder: DatasetBuilder, generator: SplitGenerator) -> Any:
    """The IterableDataset of a split."""
    from enfold.data.streaming import IterableDataset

    tokens = {builder.repo_id: builder.token} if builder.repo_id else {}
    return IterableDataset(builder._get_examples_iterable_for_split(generator), info=builder.info,
                           split=generator.name, token_per_repo_id=tokens)


def _chosen(builder: DatasetBuilder, generators: dict[str, SplitGenerator], split: Any) -> Any:
    spec = split.spec() if isinstance(split, SplitBase) else str(split)
    if spec in generators:
        return one_split(builder, generators[spec])
    names = list(generators) if spec == "all" else [name.strip() for name in spec.split("+")]
    if not all(name in generators for name in names):
        raise DataError(f"Bad split: {split}. Available splits: {list(generators)}. A stream has "
                        f"no slices. Do: .take(n) and .skip(n) it")
    from enfold.data.combine import concatenate_datasets

    return concatenate_datasets([one_split(builder, generators[name]) for name in names],
                                info=builder.info, split=split)
