"""Datasets to batches: loaders, orders, the columns that the model takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from logging import getLogger
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

from enfold.errors import DataError
from enfold.train.budget import BudgetOrder
from enfold.train.order import Order
from enfold.train.trainer.core import Core
from enfold.train.trainer.counting import forward_names
from enfold.train.trainer.loaders import StreamLoader, TableLoader

_log = getLogger(__name__)


class Batches(Core):
    """The loaders of a Trainer; override `get_train_dataloader` and its like."""

    _eval_dataloaders: dict[str, Any]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The batches to train on."""
        if self.train_dataset is None:
            raise DataError("Trainer.train() got no train_dataset. Do: Trainer(..., "
                            "train_dataset=...)")
        return self._loader(self.train_dataset, "training", self._train_batch_size, train=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """The batches of `eval_dataset`, of that name in `self.eval_dataset`, or of that itself."""
        if eval_dataset is None and self.eval_dataset is None:
            raise DataError("Trainer.evaluate() got no eval_dataset. Do: Trainer(..., "
                            "eval_dataset=...), or evaluate(eval_dataset)")
        name = eval_dataset if isinstance(eval_dataset, str) else "eval"
        keep = self.args.dataloader_persistent_workers
        if keep and name in self._eval_dataloaders:
            return self._eval_dataloaders[name]  # type: ignore[no-any-return]
        if eval_dataset is None:
            eval_dataset = self.eval_dataset
        elif isinstance(eval_dataset, str):
            eval_dataset = self.eval_dataset[eval_dataset]
        loader = self._loader(eval_dataset, "evaluation", self.args.eval_batch_size)
        if keep:
            self._eval_dataloaders[name] = loader
        return loader

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """The batches to predict."""
        return self._loader(test_dataset, "test", self.args.eval_batch_size)

    def num_examples(self, dataloader: DataLoader[Any]) -> int:
        """How many rows a loader gives; an estimate where its dataset does not know."""
        if has_length(getattr(dataloader, "dataset", None)):
            return len(dataloader.dataset)  # type: ignore[arg-type]
        return len(dataloader) * int(self.args.per_device_train_batch_size)

    def _loader(self, dataset: Any, purpose: str, batch_size: int,
                train: bool = False) -> DataLoader[Any]:
        dataset, collate = self._narrowed(dataset, purpose)
        args = self.args
        workers = args.dataloader_num_workers
        options: dict[str, Any] = {
            "num_workers": workers,
            "pin_memory": args.dataloader_pin_memory and torch.device(args.device).type == "cuda",
            "persistent_workers": args.dataloader_persistent_workers and workers > 0,
            "prefetch_factor": args.dataloader_prefetch_factor if workers else None,
            "multiprocessing_context": args.dataloader_multiprocessing_context if workers else None,
            "in_order": args.dataloader_in_order}
        if options["persistent_workers"]:  # else how often they started would move all that follows
            options["generator"] = torch.Generator().manual_seed(self._data_seed())
        drop = bool(args.dataloader_drop_last)
        if isinstance(dataset, IterableDataset) or not has_length(dataset):
            if train and args.max_tokens_per_batch is not None:
                raise DataError("max_tokens_per_batch needs rows by number, and the training data "
                                "is a stream. Do: pack it (DataCollatorWithFlattening), or set "
                                "per_device_train_batch_size")
            return StreamLoader(self._part(dataset), batch_size, collate, seed=self._data_seed(),
                                drop_last=drop, ranks=self.ranks if args.world_size > 1 else None,
                                **options)
        sampler = (self._get_train_sampler if train else self._get_eval_sampler)(dataset)
        order = sampler if isinstance(sampler, Order) else Order(
            len(dataset), batch_size, seed=self._data_seed(), shuffle=False, sampler=sampler,
            drop_last=drop, rank=args.process_index, world_size=args.world_size)
        return TableLoader(dataset, order, collate, **options)

    def _part(self, stream: Any) -> Any:
        """This rank's rows of a stream: every world_size-th."""
        if self.args.world_size == 1:
            return stream
        from enfold.data.distributed import split_dataset_by_node

        if not hasattr(stream, "state_dict"):
            raise DataError(f"training on {self.args.world_size} ranks got a stream of class "
                            f"{type(stream).__name__}, which can't be shared out. Do: make it an "
                            "enfold IterableDataset, IterableDataset.from_generator(...)")
        return split_dataset_by_node(stream, self.args.process_index, self.args.world_size)

    def _data_seed(self) -> int:
        seed = self.args.data_seed
        return int(self.args.seed if seed is None else seed)

    # ---- order -----------------------------------------------------------------------------------
    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any] | None:
        """The order of training: an `Order`, or any sampler of row numbers."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        strategy = getattr(self.args, "train_sampling_strategy", "random")
        if self.args.max_tokens_per_batch is not None:
            args = self.args
            return BudgetOrder(
                self._lengths(dataset), args.max_tokens_per_batch, seed=self._data_seed(),
                shuffle=strategy != "sequential", drop_last=args.dataloader_drop_last,
                rank=args.process_index, world_size=args.world_size)
        grouped = strategy == "group_by_length" or getattr(self.args, "group_by_length", False)
        lengths = self._lengths(dataset) if grouped else None
        return self._order(dataset, self._train_batch_size, strategy != "sequential", lengths)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[Any] | None:
        """The order of evaluation: that of the rows."""
        return self._order(eval_dataset, int(self.args.eval_batch_size), shuffle=False)

    def _order(self, dataset: Any, batch_size: int, shuffle: bool,
               lengths: Any = None) -> Order:
        args = self.args
        return Order(len(dataset), batch_size, seed=self._data_seed(), shuffle=shuffle,
                     lengths=lengths, group=batch_size * args.gradient_accumulation_steps,
                     drop_last=args.dataloader_drop_last, rank=args.process_index,
                     world_size=args.world_size)

    def _lengths(self, dataset: Any) -> list[int]:
        column = self.args.length_column_name
        columns = getattr(dataset, "column_names", None) or ()
        if column in columns:
            return list(dataset[column])
        name = (getattr(self.processing_class, "model_input_names", None) or ["input_ids"])[0]
        if name in columns:
            return [len(ids) for ids in dataset[name]]
        first = dataset[0]
        if not isinstance(first, Mapping) or name not in first:
            raise DataError("batches by length need the lengths of the rows, and they have no "
                            f"{name!r}. Do: give the dataset a column {column!r} with them")
        return [len(dataset[row][name]) for row in range(len(dataset))]

    # ---- columns ---------------------------------------------------------------------------------
    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            extra = {"label", "label_ids", *self.label_names}
            self._signature_columns = [*forward_names(self.model), *sorted(extra)]

    def _narrowed(self, dataset: Any, purpose: str) -> tuple[Any, Callable[[list[Any]], Any]]:
        """The dataset and the collator, one of them without what the model does not take."""
        if isinstance(dataset, Mapping) and all(hasattr(part, "column_names")
                                                for part in dataset.values()):
            raise DataError(f"the {purpose} data is a {type(dataset).__name__} of {list(dataset)}, "
                            f"expected one dataset. Do: give one of them, "
                            f"dataset[{next(iter(dataset), 'train')!r}]")
        if hasattr(dataset, "remove_columns") and getattr(dataset, "column_names", None):
            return self._remove_unused_columns(dataset, purpose), self.data_collator
        return dataset, self._get_collator_with_removed_columns(self.data_collator, purpose)

    def _remove_unused_columns(self, dataset: Any, description: str | None = None) -> Any:
        """The dataset with the columns that the forward takes."""
        if not self.args.remove_unused_columns:
            return dataset
        self._set_signature_columns_if_needed()
        wanted = self._signature_columns or []
        ignored = [name for name in dataset.column_names if name not in wanted]
        if len(ignored) == len(dataset.column_names):
            raise DataError(f"no column of the {description} data is an argument of "
                            f"{type(self.model).__name__}.forward: it has {ignored}, expected some "
                            f"of {wanted}. Do: rename or tokenize them, or set "
                            "remove_unused_columns=False where the collator makes the inputs")
        self._check_inputs(dataset.column_names, ignored, description)
        if description == "training":
            self._left_out = tuple(ignored)
        if ignored:
            _log.info("columns %s of the %s data are not arguments of %s.forward, and are left out",
                      ignored, description, type(self.model).__name__)
        return dataset.remove_columns(ignored) if ignored else dataset

    def _check_inputs(self, columns: list[str], ignored: list[str], purpose: str | None) -> None:
        """Raise where labels are all that the model takes of the data."""
        kept = [name for name in columns if name not in ignored]
        main = getattr(self.model, "main_input_name", None)
        if main in (self._signature_columns or ()) and \
                {"label", "label_ids", *self.label_names}.issuperset(kept):
            raise DataError(f"of the columns {columns} of the {purpose} data the model takes "
                            f"{kept} alone, expected {main!r} too. Do: tokenize the texts, "
                            "dataset.map(lambda rows: tokenizer(rows['text'], truncation=True), "
                            "batched=True); "
                            "or set remove_unused_columns=False where the collator does that")

    def _get_collator_with_removed_columns(self, data_collator: Callable[[list[Any]], Any],
                                           description: str | None = None
                                           ) -> Callable[[list[Any]], Any]:
        """The collator, given rows with what the forward takes."""
        if not self.args.remove_unused_columns:
            return data_collator
        self._set_signature_columns_if_needed()
        return _Narrow(data_collator, frozenset(self._signature_columns or ()))


class _Narrow:
    """A collator that gets rows of known names only.  A class: it is sent to workers."""

    def __init__(self, collate: Callable[[list[Any]], Any], names: frozenset[str]) -> None:
        self.collate, self.names = collate, names

    def __call__(self, rows: list[Any]) -> Any:
        kept = [{name: value for name, value in row.items() if name in self.names}
                if isinstance(row, Mapping) else row for row in rows]
        return self.collate(kept)


def has_length(data: Any) -> bool:
    """Whether `len(data)` works."""
    try:
        return len(data) is not None
    except (TypeError, AttributeError, NotImplementedError):
        return False
