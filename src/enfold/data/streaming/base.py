"""How an `IterableDataset` is read: its nodes, the state of the latest pass, the format."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

from enfold.data.features import Features
from enfold.data.formatting import IterableColumn, get_format_type_from_alias
from enfold.data.info import DatasetInfo, InfoFields
from enfold.data.splits import NamedSplit
from enfold.data.streaming.node import Batcher, Node, State
from enfold.data.streaming.present import TABLES, Presenter, RowReader, Tabled
from enfold.data.streaming.workers import (
    DistributedConfig,
    Epoch,
    in_epoch,
    in_worker,
    join_torch,
    on_machine,
)
from enfold.errors import DataError


@dataclass
class FormattingConfig:
    """The format that rows are shown in."""

    format_type: str | None


class Described(InfoFields):
    """What is known of a stream, as attributes."""

    _split: NamedSplit | None

    @property
    def info(self) -> DatasetInfo:
        """What is known of the dataset."""
        return self._info

    @property
    def split(self) -> NamedSplit | None:
        """Which split this is."""
        return self._split

    @property
    def features(self) -> Features | None:
        """The columns; None where they are not known before reading."""
        return None if self._info.features is None else self._info.features.copy()


class Streamed(Described):
    """Reading."""

    def __init__(self, ex_iterable: Node, info: DatasetInfo | None = None,
                 split: NamedSplit | str | None = None,
                 formatting: FormattingConfig | None = None,
                 distributed: DistributedConfig | None = None,
                 token_per_repo_id: dict[str, Any] | None = None) -> None:
        self._info = info.copy() if info is not None else DatasetInfo()
        self._split = split if split is None or isinstance(split, NamedSplit) else NamedSplit(split)
        self._ex_iterable = ex_iterable
        self._formatting = formatting
        self._distributed = distributed
        self._token_per_repo_id = token_per_repo_id or {}
        self._epoch = Epoch()
        self._start: dict[str, Any] | None = None  # what was given to load_state_dict
        self._place: Any = None                    # the reader of the latest pass
        self._read_epoch = 0
        join_torch(type(self))

    def _over(self, node: Node | None = None, features: Any = ..., **changes: Any) -> Self:
        """A dataset like this one, with another node, other features or another format."""
        info = self._info.copy()
        info.features = info.features if features is ... else features
        given = {"formatting": self._formatting, "distributed": deepcopy(self._distributed),
                 "split": self._split, "token_per_repo_id": self._token_per_repo_id, **changes}
        return type(self)(self._ex_iterable if node is None else node, info=info, **given)

    # torch's DataLoader asks for the class; torch may have been imported after this was made
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        join_torch(type(self))
        return type(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_place": None, "_start": self._start}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        join_torch(type(self))

    def __repr__(self) -> str:
        names = "Unknown" if self._info.features is None else list(self._info.features)
        return f"IterableDataset({{\n    features: {names},\n    num_shards: {self.num_shards}\n}})"

    def __getitem__(self, column_name: str) -> IterableColumn:
        """One column: `for text in dataset["text"]`."""
        return IterableColumn(self, column_name)

    @property
    def column_names(self) -> list[str] | None:
        """The columns' names; None where they are not known before reading."""
        return None if self._info.features is None else list(self._info.features)

    @property
    def num_columns(self) -> int | None:
        """How many columns there are; None where it is not known before reading."""
        return None if self._info.features is None else len(self._info.features)

    @property
    def num_shards(self) -> int:
        """Into how many parts workers can share this machine's part."""
        count = self._ex_iterable.num_shards
        machine = self._distributed
        if machine is not None and machine.by_shards(count):
            return len(range(machine.rank, count, machine.world_size))
        return count

    n_shards = num_shards

    @property
    def epoch(self) -> int:
        """The epoch that was set; 0 at first."""
        return self._epoch.value

    def set_epoch(self, epoch: int) -> None:
        """Read the shards in another order, with other random numbers, from the next pass on.

        Workers that are running already see it too.
        """
        self._epoch.value = epoch

    def state_dict(self) -> dict[str, Any]:
        """Where the latest pass stands: after the row, or batch, that it gave last."""
        if self._place is not None:
            return {"examples_iterable": self._place.state(), "epoch": self._read_epoch}
        return deepcopy(self._start) or {"examples_iterable": None, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next passes begin where `state_dict()` said, in the epoch in which it did."""
        self._start, self._place = state_dict, None

    # -- passes

    def _opened(self, size: int) -> tuple[Node, State] | None:
        """This process's part, as tables of `size` where the format is one; and where to begin."""
        self._read_epoch = self.epoch
        node = on_machine(in_epoch(self._ex_iterable, self._read_epoch), self._distributed)
        own = in_worker(node, first=self._distributed is None or self._distributed.rank == 0)
        if own is None:
            return None
        if self._kind in TABLES and not own.arrow:
            own = Tabled(own, self._info.features, size)
        start = self._start
        resumed = start is not None and start["epoch"] == self._read_epoch
        return own, start["examples_iterable"] if start is not None and resumed else None

    @property
    def _kind(self) -> str | None:
        return None if self._formatting is None else self._formatting.format_type

    def __iter__(self) -> Iterator[Any]:
        opened = self._opened(1)
        if opened is None:
            return iter(())
        node, start = opened
        self._place = reader = RowReader(node.open(start),
                                         Presenter(node, self._info.features, self._kind))
        return reader.rows

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Batches of `batch_size` rows, in the format.

        drop_last_batch: leave out a last one that is shorter.
        """
        opened = self._opened(batch_size)
        if opened is None:
            return
        node, start = opened
        presenter = Presenter(node, self._info.features, self._kind)
        self._place = batches = Batcher(node.open(start))
        while (chunk := batches.take(batch_size)) is not None:
            if len(chunk) < batch_size and drop_last_batch:
                return
            yield presenter.batch(chunk)

    def with_format(self, type: str | None = None) -> Self:
        """The rows in a format: "numpy", "torch", "jax", "tensorflow", "arrow", "pandas", "polars".

        None: Python values.
        """
        return self._over(formatting=FormattingConfig(get_format_type_from_alias(type)))

    def _head(self, n: int = 5) -> Any:
        return next(iter(self.iter(batch_size=n)))

    def _resolve_features(self) -> Self:
        """With features; where they were not known, those that the first rows show."""
        if self._info.features is not None:
            return self
        if self._ex_iterable.features is not None:
            return self._over(features=self._ex_iterable.features)
        head = next(iter(self.with_format(None).iter(batch_size=5)), None)
        if head is None:
            raise DataError("the features are not known, and there is no row to see them from. Do: "
                            "declare them, ds.cast(Features(..))")
        return self._over(features=Features.infer(head))
