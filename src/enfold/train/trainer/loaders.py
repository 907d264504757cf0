"""Loaders that know their place: `state_dict()` says which batch was given last.

A table's place is a number, and reading begins there at once.  A stream's place is that of each
worker, noted with each batch, because workers read ahead of what was given out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from enfold.train.order import Order, Ticket, seed_of


class TableLoader(DataLoader[Any]):
    """Batches of a dataset with rows by number, in an `Order`.

    With workers, what is random in rows and collator depends on the batch alone; without, it is
    drawn from this process's generators.
    """

    def __init__(self, dataset: Any, order: Order, collate: Callable[[list[Any]], Any],
                 **options: Any) -> None:
        rows: Any = Seeded(dataset) if options.get("num_workers") else dataset
        super().__init__(rows, batch_sampler=order, collate_fn=collate, **options)
        self.order, self._given = order, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next passes."""
        self.order.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """How many batches of the epoch were given out."""
        return {"batches": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass begin after so many batches."""
        self._start = int(state["batches"])

    _start = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self._given, self._start = self._start, 0
        self.order.begin(self._given)
        return self._counted(super().__iter__())  # begun now: it draws the workers' seed

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._given += 1
            yield batch

    def is_ghost(self) -> bool:
        """Whether the batch given last must not count."""
        return self.order.is_ghost(self._given - 1)


class Seeded:
    """A dataset whose batches are prepared, in a worker, with generators seeded by the batch."""

    def __init__(self, dataset: Any) -> None:
        self.rows = dataset

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __getitems__(self, ticket: Sequence[int]) -> list[Any]:
        if isinstance(ticket, Ticket) and get_worker_info() is not None:
            seed_all(ticket.seed)
        if hasattr(self.rows, "__getitems__"):
            return self.rows.__getitems__(list(ticket))  # type: ignore[no-any-return]
        return [self.rows[row] for row in ticket]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "rows":
            raise AttributeError(name)
        return getattr(self.rows, name)


class StreamLoader(DataLoader[Any]):
    """Batches of a dataset that can only be read in turn.

    ranks: where several read, each a part; one whose part has ended gives ghosts, batches that
    must not count, until all have, because a step takes all of them.
    """

    def __init__(self, dataset: Any, batch_size: int, collate: Callable[[list[Any]], Any], *,
                 seed: int = 0, drop_last: bool = False, ranks: Any = None,
                 **options: Any) -> None:
        self._source = _Marked(dataset, batch_size, collate, seed, drop_last)
        super().__init__(self._source, batch_size=None, **options)
        self._place: dict[str, Any] = {"batches": 0, "next": 0, "workers": {}}
        self._ranks, self._ghost = ranks, False

    @property
    def rows(self) -> Any:
        """The dataset that is read."""
        return self._source.rows

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next passes."""
        self._source.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where each worker stands, and whose turn is next."""
        return deepcopy(self._place)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass begin there."""
        self._source.start = deepcopy(state)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        start = self._source.start
        self._place = deepcopy(start) if start else {"batches": 0, "next": 0, "workers": {}}
        marks = super().__iter__()
        if self.num_workers:  # which have their copy of it now
            self._source.start = None
        batches = self._unmarked(marks)
        return batches if self._ranks is None else self._in_step(batches)

    def _unmarked(self, marks: Iterator[_Mark]) -> Iterator[Any]:
        for mark in marks:
            if mark.place is None:  # a worker whose turn in this round was before the stop
                continue
            self._place["workers"][mark.worker] = mark.place
            self._place["batches"] += 1
            self._place["next"] = (mark.worker + 1) % max(self.num_workers, 1)
            yield mark.batch

    def _in_step(self, batches: Iterator[Any]) -> Iterator[Any]:
        """As many batches on every rank."""
        last, ended = None, object()
        while True:
            batch = next(batches, ended)
            self._ghost = batch is ended
            own = torch.tensor([[not self._ghost, not self._ghost or last is not None]])
            has, ready = self._ranks.gather(own.long()).bool().T
            if not has.any():
                return
            if not ready.all():  # a rank that never had one takes another's
                first = int(has.long().argmax())
                lent = self._ranks.gather_object(batch if self._ranks.rank == first else None)
                last = lent[first] if last is None else last
            last = copy(last) if self._ghost else batch  # a copy: batches are told apart by id
            yield last

    def is_ghost(self) -> bool:
        """Whether the batch given last must not count."""
        return self._ghost


class _Mark(NamedTuple):
    """A batch of a worker, and how to go on after it."""

    worker: int
    place: dict[str, Any] | None
    batch: Any


class _Marked(IterableDataset[_Mark]):
    """Batches of a stream with their places."""

    def __init__(self, rows: Any, batch_size: int, collate: Callable[[list[Any]], Any], seed: int,
                 drop_last: bool) -> None:
        self.rows, self.batch_size, self.collate = rows, batch_size, collate
        self.seed, self.drop_last = seed, drop_last
        self.start: dict[str, Any] | None = None
        self._epoch = torch.zeros(1, dtype=torch.long)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # workers see it change

    def set_epoch(self, epoch: int) -> None:
        self._epoch[0] = epoch
        if hasattr(self.rows, "set_epoch"):
            self.rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[_Mark]:
        info = get_worker_info()
        worker, start = (0 if info is None else info.id), self._started()
        if info is not None and start is not None and worker < start["next"]:
            yield _Mark(worker, None, None)
        place = {} if start is None else start["workers"].get(worker, {})
        number = place.get("number", 0)
        source, rows = self._reader(place)
        while True:
            if info is not None:
                seed_all(seed_of(self.seed, int(self._epoch) * info.num_workers + worker, number))
            taken = [row for _, row in zip(range(self.batch_size), rows, strict=False)]
            if not taken or (self.drop_last and len(taken) < self.batch_size):
                return
            number += 1
            stream = source.state_dict() if hasattr(source, "state_dict") else None
            yield _Mark(worker, {"number": number, "stream": stream}, self.collate(taken))

    def _started(self) -> dict[str, Any] | None:
        start, self.start = self.start, None
        return start

    def _reader(self, place: dict[str, Any]) -> tuple[Any, Iterator[Any]]:
        """The dataset that is read, and its rows from that place on."""
        source = self.rows
        if place.get("stream") is not None:
            source = copy(source)  # the place must not stay with the dataset, for its next reader
            source.load_state_dict(place["stream"])
            place = {}
        rows: Iterator[Any] = iter(source)
        for _ in range(place.get("number", 0) * self.batch_size):  # no other way to get there
            next(rows, None)
        return source, rows


def seed_all(seed: int) -> None:
    """Seed python, numpy and torch with 32 bits."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
