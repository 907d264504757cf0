"""`map`, `filter` and what orders rows, over all splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from enfold.data.dataset import Dataset
from enfold.data.dict.splits import Splits, by_split
from enfold.data.features import Features
from enfold.errors import DataError

Names = Mapping[str, str | None] | None
Function = Callable[..., Any]


class Changes(Splits[Dataset]):
    """Arguments named `.._names` are dicts of a file name per split."""

    _kind: ClassVar[str] = "Dataset"

    def _check_value(self, split: Any, dataset: Any) -> None:
        if not isinstance(dataset, Dataset):
            raise self._wrong_kind(split, dataset)

    def map(self, function: Function | None = None, with_indices: bool = False,
            with_rank: bool = False, with_split: bool = False,
            input_columns: str | Sequence[str] | None = None, batched: bool = False,
            batch_size: int | None = 1000, drop_last_batch: bool = False,
            remove_columns: str | Sequence[str] | None = None, keep_in_memory: bool = False,
            load_from_cache_file: bool | None = None, cache_file_names: Names = None,
            writer_batch_size: int | None = 1000, features: Features | None = None,
            disable_nullable: bool = False, fn_kwargs: Mapping[str, Any] | None = None,
            num_proc: int | None = None, desc: str | None = None,
            try_original_type: bool | None = True, on_mixed_types: str | None = None,
            lazy: bool | None = None) -> Self:
        """The rows of each split with what `function` returns for them; see `Dataset.map`.

        with_split: give the function the name of the split as its last argument.
        """
        functions = by_split(self, function, with_split)
        return self._each(
            "map", per_split={"function": functions, "cache_file_name": cache_file_names},
            with_indices=with_indices, with_rank=with_rank, input_columns=input_columns,
            batched=batched, batch_size=batch_size, drop_last_batch=drop_last_batch,
            remove_columns=remove_columns, keep_in_memory=keep_in_memory,
            load_from_cache_file=load_from_cache_file, writer_batch_size=writer_batch_size,
            features=features, disable_nullable=disable_nullable, fn_kwargs=fn_kwargs,
            num_proc=num_proc, desc=desc, try_original_type=try_original_type,
            on_mixed_types=on_mixed_types, lazy=lazy)

    def filter(self, function: Any = None, with_indices: bool = False, with_rank: bool = False,
               input_columns: str | Sequence[str] | None = None, batched: bool = False,
               batch_size: int | None = 1000, keep_in_memory: bool = False,
               load_from_cache_file: bool | None = None, cache_file_names: Names = None,
               writer_batch_size: int | None = 1000,
               fn_kwargs: Mapping[str, Any] | None = None, num_proc: int | None = None,
               desc: str | None = None, lazy: bool | None = None) -> Self:
        """The rows of each split for which `function` is true; see `Dataset.filter`."""
        return self._each(
            "filter", function, per_split={"cache_file_name": cache_file_names},
            with_indices=with_indices, with_rank=with_rank, input_columns=input_columns,
            batched=batched, batch_size=batch_size, keep_in_memory=keep_in_memory,
            load_from_cache_file=load_from_cache_file, writer_batch_size=writer_batch_size,
            fn_kwargs=fn_kwargs, num_proc=num_proc, desc=desc, lazy=lazy)

    def flatten_indices(self, keep_in_memory: bool = False, cache_file_names: Names = None,
                        writer_batch_size: int | None = 1000, features: Features | None = None,
                        disable_nullable: bool = False, num_proc: int | None = None,
                        new_fingerprint: str | None = None) -> Self:
        """The rows written in the order that they have now; see `Dataset.flatten_indices`."""
        return self._each(
            "flatten_indices", keep_in_memory, per_split={"cache_file_name": cache_file_names},
            writer_batch_size=writer_batch_size, features=features,
            disable_nullable=disable_nullable, num_proc=num_proc, new_fingerprint=new_fingerprint)

    def sort(self, column_names: str | Sequence[str], reverse: bool | Sequence[bool] = False,
             null_placement: str = "at_end", keep_in_memory: bool = False,
             load_from_cache_file: bool | None = None, indices_cache_file_names: Names = None,
             writer_batch_size: int | None = 1000) -> Self:
        """The rows of each split ordered by columns; see `Dataset.sort`."""
        return self._each(
            "sort", column_names, per_split={"indices_cache_file_name": indices_cache_file_names},
            reverse=reverse, null_placement=null_placement, keep_in_memory=keep_in_memory,
            load_from_cache_file=load_from_cache_file, writer_batch_size=writer_batch_size)

    def shuffle(self, seeds: int | Mapping[str, int | None] | None = None,
                seed: int | None = None,
                generators: Mapping[str, np.random.Generator] | None = None,
                keep_in_memory: bool = False, load_from_cache_file: bool | None = None,
                indices_cache_file_names: Names = None,
                writer_batch_size: int | None = 1000) -> Self:
        """The rows of each split in a random order.  seeds: one, or one per split."""
        if seed is not None and seeds is not None:
            raise DataError(f"shuffle: got seed={seed} and seeds={seeds}. Please specify seed or "
                            "seeds, but not both")
        chosen = seeds if seed is None else seed
        if not isinstance(chosen, Mapping):
            chosen = dict.fromkeys(map(str, self), chosen)
        return self._each(
            "shuffle", per_split={"seed": chosen, "generator": generators,
                                  "indices_cache_file_name": indices_cache_file_names},
            keep_in_memory=keep_in_memory, load_from_cache_file=load_from_cache_file,
            writer_batch_size=writer_batch_size)

