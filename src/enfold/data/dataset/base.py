"""What every part of `Dataset` stands on: its plan, its info, its format."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa

from enfold.data.cache import Lease
from enfold.data.dataset.arrow import ArrowTable
from enfold.data.dataset.origin import checked_fingerprint, node_of
from enfold.data.features import Features
from enfold.data.fingerprint import digest
from enfold.data.frame import Frame
from enfold.data.info import DatasetInfo
from enfold.data.plan import Format, Loaded, Node, show
from enfold.data.splits import NamedSplit
from enfold.errors import DataError, nearest


class Base:
    """A plan and how its rows are handed out."""

    def __init__(self, arrow_table: pa.Table | ArrowTable | Frame | Node,
                 info: DatasetInfo | None = None, split: NamedSplit | None = None,
                 indices_table: pa.Table | None = None, fingerprint: str | None = None) -> None:
        self._node = node_of(arrow_table, info, fingerprint)
        if indices_table is not None:
            frame = self._node.frame().select(indices_table.column(0).to_numpy())
            self._node = Loaded(frame, self._node.features, durable=self._node.durable,
                                fingerprint=fingerprint)
        if fingerprint is not None:
            self._node._fingerprint = fingerprint
        self._node.users.add(self)
        self._info = info.copy() if info is not None else DatasetInfo()
        self._split = split
        self._format = Format()
        self._indexes: dict[str, Any] = {}
        self._view: tuple[Any, Any] | None = None

    # -- what it holds

    @property
    def features(self) -> Features:
        """What the columns are."""
        return Features(self._node.features)  # may be changed by the caller, and given to cast()

    @property
    def info(self) -> DatasetInfo:
        """What is known of the dataset."""
        self._info.features = self.features
        return self._info

    @property
    def split(self) -> NamedSplit | None:
        """The split that it is, if it is one."""
        return self._split

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self._node.features)

    @property
    def num_columns(self) -> int:
        """The number of columns."""
        return len(self._node.features)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        rows = self._node.rows
        return rows if rows is not None else self._frame.num_rows

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.num_rows, self.num_columns

    def __len__(self) -> int:
        # a torch loader asks before it starts workers: each would run the plan for itself
        if "torch.utils.data" in sys.modules:
            return self._frame.num_rows
        return self.num_rows

    @property
    def plan(self) -> Plan:
        """What was asked for and what of it is done; prints as a tree."""
        return Plan(self._node)

    def cache(self) -> Self:
        """Run what is left of the plan now."""
        self._node.frame()
        return self

    @property
    def _frame(self) -> Frame:
        return self._node.frame()

    @property
    def _fingerprint(self) -> str:
        if self._format == Format():
            return self._node.fingerprint
        shown = self._format
        key = (shown.type, shown.columns, shown.output_all_columns, dict(shown.kwargs))
        return digest((self._node.fingerprint, key))[:16]

    @_fingerprint.setter
    def _fingerprint(self, fingerprint: str) -> None:
        self._node._fingerprint = fingerprint

    def __enfold_digest__(self) -> str:
        return self._fingerprint

    @property
    def data(self) -> ArrowTable:
        """All rows as a pyarrow table; what is not behind row numbers is not copied."""
        metadata = self._node.features.arrow_schema.metadata
        return ArrowTable(self._frame.table().replace_schema_metadata(metadata))

    @property
    def cache_files(self) -> list[dict[str, str]]:
        """The Arrow files that its columns and row numbers are mapped from."""
        frame = self._frame
        if not self._node.durable:
            return []  # what is written while data in memory is worked on is no cache
        paths = {piece.path: None for column in frame.columns.values()
                 for piece in column.files or ()}
        for lease in frame.holds:
            if isinstance(lease, Lease):
                paths.update({str(path): None for path in sorted(lease.path.glob("*.arrow"))})
        return [{"filename": path} for path in paths]

    def cleanup_cache_files(self) -> int:
        """Remove cached results that nobody uses; returns how many."""
        from enfold.data.dataset.cleaning import cleanup

        return cleanup(self)

    # -- deriving others

    def _with(self, node: Node, fingerprint: str | None = None) -> Self:
        """The same with another plan; columns that are new are shown if all were."""
        if fingerprint is not None:
            node._fingerprint = checked_fingerprint(fingerprint)
        other = self._twin()
        other._node = node
        node.users.add(other)
        other._format = self._kept_format(list(node.features))
        return other

    def _copy(self) -> Self:
        other = self._twin()
        self._node.users.add(other)
        return other

    def _twin(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._info = self._info.copy()
        other._indexes = dict(self._indexes)
        other._view = None
        return other

    def _kept_format(self, names: list[str], renamed: Mapping[str, str] | None = None) -> Format:
        shown = self._format.columns
        if shown is None:
            return self._format
        hidden = set(self.column_names) - set(shown)
        renamed = renamed or {}
        hidden = {renamed.get(name, name) for name in hidden}
        columns = tuple(name for name in names if name not in hidden)
        old = self._format
        return Format(old.type, columns, old.output_all_columns, old.kwargs)

    def _known(self, names: str | Iterable[str], what: str) -> list[str]:
        """Names as a list; raises for those that are no columns."""
        names, known = [names] if isinstance(names, str) else list(names), self._node.features
        for name in names:
            if name not in known:
                near = nearest(name, known)
                raise DataError(f"{what}: there is no column {name!r}{near}. Current columns in "
                                f"the dataset: {self.column_names}")
        return names

    # -- as a value

    def __repr__(self) -> str:
        rows = self._node.rows
        count = str(rows) if rows is not None else "not known before it runs"
        return (f"{type(self).__name__}({{\n    features: {self.column_names},\n"
                f"    num_rows: {count}\n}})")

    def __getstate__(self) -> dict[str, Any]:
        from enfold.data.dataset.pickling import state_of

        return state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        from enfold.data.dataset.pickling import restore

        restore(self, state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close: files are let go of with the last dataset that reads them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._copy()

    @property
    def _data(self) -> ArrowTable:
        return self.data

    @property
    def _indices(self) -> Any:
        """The row numbers as a table, as `datasets` has them; None where there are none."""
        rows = next((column.rows for column in self._frame.columns.values()
                     if column.rows is not None), None)
        return None if rows is None else ArrowTable(pa.table({"indices": rows}))

    @property
    def _format_type(self) -> str | None:
        return self._format.type

    @property
    def _format_columns(self) -> list[str] | None:
        return None if self._format.columns is None else list(self._format.columns)

    @_format_columns.setter
    def _format_columns(self, columns: Iterable[str] | None) -> None:
        chosen = tuple(columns) if columns is not None else None
        self._format, self._view = replace(self._format, columns=chosen), None

    @property
    def _output_all_columns(self) -> bool:
        return self._format.output_all_columns

    @property
    def _format_kwargs(self) -> dict[str, Any]:
        return dict(self._format.kwargs)


class Plan:
    """The steps of a dataset: `print(ds.plan)`."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def done(self) -> bool:
        """Whether nothing is left to run."""
        return self.node.resolved

    def __repr__(self) -> str:
        return show(self.node)

