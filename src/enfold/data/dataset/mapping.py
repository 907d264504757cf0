"""`map`, `filter`, `batch`: functions of the user over rows, as steps of the plan."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import Any, Self

from enfold.data.dataset.making import mixed_given
from enfold.data.dataset.origin import checked_fingerprint
from enfold.data.dataset.rows import Rows
from enfold.data.features import Features
from enfold.data.plan import (
    Apply,
    Call,
    ExpressionOp,
    FilterOp,
    Format,
    MapOp,
    Settings,
    with_function,
)
from enfold.errors import DataError

Function = Callable[..., Any]

_SUFFIX = "_{rank:05d}_of_{num_proc:05d}"


class Functions(Rows):
    """What runs functions of the user."""

    def map(self, function: Function | None = None, with_indices: bool = False,
            with_rank: bool = False, input_columns: str | Sequence[str] | None = None,
            batched: bool = False, batch_size: int | None = 1000, drop_last_batch: bool = False,
            remove_columns: str | Sequence[str] | None = None, keep_in_memory: bool = False,
            load_from_cache_file: bool | None = None, cache_file_name: str | None = None,
            writer_batch_size: int | None = 1000, features: Features | None = None,
            disable_nullable: bool = False, fn_kwargs: Mapping[str, Any] | None = None,
            num_proc: int | None = None, suffix_template: str | None = _SUFFIX,
            new_fingerprint: str | None = None, desc: str | None = None,
            try_original_type: bool | None = True, on_mixed_types: str | None = "use_json",
            lazy: bool | None = None) -> Self:
        """The rows with what `function` returns for each, or for each batch.

        function(row, [index], [rank], **fn_kwargs) -> dict of columns, a table, or None to change
        nothing.  batched: function(batch of `batch_size` rows; None: all) -> dict of lists, of any
        number of rows.  input_columns: passed as arguments instead of the row.  features: of what
        comes out; by default what the first batch shows.  on_mixed_types: "use_json" stores new
        values of several types as Json; None raises for them.  num_proc: processes.
        disable_nullable: changes nothing that can be seen, as in `datasets`.

        The first batch is run now, the rest when something reads it (`print(ds.plan)`); lazy=False
        runs everything now.  A result of data in files is cached under the digest of the function
        and all that it holds on to; new_fingerprint replaces that digest.
        """
        _checked_options("map", num_proc, batch_size)
        _checked_names("map", cache_file_name, suffix_template)
        function = function if function is not None else _same
        if new_fingerprint is not None:
            checked_fingerprint(new_fingerprint)
        if not self._may_have_rows():
            return self.remove_columns(remove_columns) if remove_columns else self._copy()
        removed = tuple(self._known(remove_columns or [], "map: remove_columns"))
        inputs = self._inputs(input_columns, "map: input_columns")
        arguments = dict(fn_kwargs or {})
        shown = _of_all_columns(self._format)
        call = Call(function, "map", batched, with_indices, with_rank, None, inputs, arguments,
                    shown)
        size = batch_size if batch_size is None or batch_size > 0 else None
        op = MapOp(call, size, drop_last=drop_last_batch and batched,
                   given=Features(features) if features is not None else None, removed=removed,
                   try_original_type=try_original_type is not False,
                   mixed=mixed_given("map", on_mixed_types))
        options = (with_indices, with_rank, inputs, batched, size if batched else 1,
                   op.drop_last, removed, _features_key(features), op.try_original_type,
                   op.mixed, _format_key(shown))
        settings = Settings(num_proc, desc, keep_in_memory, load_from_cache_file is not False,
                            f"map {call.name}")
        node = with_function(self._node, op, options, settings, fingerprint=new_fingerprint,
                             now=lazy is False or cache_file_name is not None)
        if node is self._node:
            return self._copy()
        return self._saved(self._with(node), cache_file_name, load_from_cache_file)

    def filter(self, function: Any = None, with_indices: bool = False, with_rank: bool = False,
               input_columns: str | Sequence[str] | None = None, batched: bool = False,
               batch_size: int | None = 1000, keep_in_memory: bool = False,
               load_from_cache_file: bool | None = None, cache_file_name: str | None = None,
               writer_batch_size: int | None = 1000,
               fn_kwargs: Mapping[str, Any] | None = None, num_proc: int | None = None,
               suffix_template: str | None = _SUFFIX, new_fingerprint: str | None = None,
               desc: str | None = None, lazy: bool | None = None) -> Self:
        """The rows for which `function` is true; only their numbers are stored.

        function(row) -> bool, batched: function(batch) -> a list of bools; or a pyarrow expression,
        `pc.field("n") > 100`, which is many times faster.  See `map` for the rest.
        """
        if self._indexes:
            raise DataError("filter: the dataset has search indexes, which would no longer fit. "
                            "Do: drop_index() first, and add it again after")
        _checked_options("filter", num_proc, batch_size)
        _checked_names("filter", cache_file_name, suffix_template)
        settings = Settings(num_proc, desc, keep_in_memory, load_from_cache_file is not False,
                            "filter")
        if new_fingerprint is not None:
            checked_fingerprint(new_fingerprint)
        if not self._may_have_rows():
            return self._copy()
        if _is_expression(function):
            node: Any = Apply(self._node, ExpressionOp(function), ("filter", str(function)),
                              settings)
            if not node.find() and lazy is False:
                node.frame()
            return self._with(node, new_fingerprint)
        inputs = self._inputs(input_columns, "filter: input_columns")
        shown = _of_all_columns(self._format)
        call = Call(function if function is not None else _true, "filter", batched, with_indices,
                    with_rank, None, inputs, dict(fn_kwargs or {}), shown)
        size = batch_size if batch_size is None or batch_size > 0 else None
        options = (with_indices, with_rank, inputs, batched, size if batched else 1,
                   _format_key(shown))
        node = with_function(self._node, FilterOp(call, size), options, settings,
                             fingerprint=new_fingerprint,
                             now=lazy is False or cache_file_name is not None)
        return self._saved(self._with(node), cache_file_name, load_from_cache_file)

    def batch(self, batch_size: int | None = None, by_column: str | Sequence[str] | None = None,
              drop_last_batch: bool = False, num_proc: int | None = None,
              new_fingerprint: str | None = None) -> Self:
        """Rows that are lists: of `batch_size` rows, or of those with one value of `by_column`."""
        from enfold.data.dataset.batching import batched

        return batched(self, batch_size, by_column, drop_last_batch,  # type: ignore[no-any-return]
                       num_proc, new_fingerprint)

    def _may_have_rows(self) -> bool:
        """Whether there is, or may be, a row."""
        return self._node.rows is None or self._node.rows > 0

    def _inputs(self, columns: str | Sequence[str] | None, what: str) -> tuple[str, ...] | None:
        return None if columns is None else tuple(self._known(columns, what))

    def _saved(self, dataset: Self, cache_file_name: str | None, reuse: bool | None) -> Self:
        if cache_file_name is None:
            return dataset
        from enfold.data.dataset.flattening import in_file

        node = in_file(dataset._node, cache_file_name, reuse is not False)
        return dataset._with(node, dataset._node.fingerprint)


def _checked_options(what: str, num_proc: int | None, batch_size: Any) -> None:
    if num_proc is not None and num_proc < 0:
        raise DataError(f"{what}: num_proc must be > 0, got {num_proc}. Expected a number of "
                        "processes, or None")
    if batch_size is not None and not isinstance(batch_size, int):
        raise DataError(f"{what}: batch_size={batch_size!r}. Expected a number of rows, or None "
                        "for all")


def _checked_names(what: str, cache_file_name: str | None, suffix_template: str | None) -> None:
    """suffix_template names the files of processes in `datasets`; here there is one file."""
    if cache_file_name is not None and not os.path.splitext(cache_file_name)[1]:
        raise DataError(f"{what}: Expected cache_file_name to have an extension, but got: "
                        f"{cache_file_name}. Do: end it with .arrow")
    if suffix_template is None:
        return
    fields = sorted({name for _, name, _, _ in Formatter().parse(suffix_template)
                     if name is not None})
    if fields != ["num_proc", "rank"]:
        raise DataError(f"{what}: suffix_template must contain exactly the fields 'rank' and "
                        f"'num_proc', got: {fields}. Do: leave it out, as all processes write one "
                        "file")


def _is_expression(function: Any) -> bool:
    import pyarrow.compute as pc

    return isinstance(function, pc.Expression)


def _features_key(features: Features | None) -> Any:
    return None if features is None else (Features(features).to_dict(), list(features))


def _of_all_columns(shown: Format) -> Format:
    """The format for a function, which is given all columns whichever are shown."""
    return replace(shown, columns=None, output_all_columns=False)


def _format_key(shown: Format) -> Any:
    return (shown.type, shown.columns, shown.output_all_columns, dict(shown.kwargs))


def _same(row: Any, *extra: Any) -> Any:
    return row


def _true(row: Any, *extra: Any) -> Any:
    return True
