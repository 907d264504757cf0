"""`TensorFormatter`: what the formats of numpy, torch, jax and tensorflow have in common.

A column is read as a numpy array, decoded where its feature says so, and becomes tensors from the
inside out: what has one shape and dtype is stacked, the rest stays a list.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from enfold.data.features.image import is_pillow
from enfold.data.features.value import is_text
from enfold.data.formatting.extract import has_nulls, to_block, to_numpy
from enfold.data.formatting.formatter import FormatError, Formatter, Table
from enfold.data.formatting.pylists import Column, Rows, to_list, to_rows


class TensorFormatter(Formatter):
    """Dicts of tensors; a subclass says how its library makes, stacks and splits them."""

    def tensor(self, array: Any) -> Any:
        """A tensor of a numpy array or scalar of numbers, or of a number."""
        raise NotImplementedError

    def texts(self, array: Any) -> Any:
        """What stands for a numpy array or scalar of strings or bytes."""
        return array.tolist()

    def picture(self, image: Any) -> Any:
        """A tensor of a PIL image."""
        return self.tensor(np.asarray(image))

    def stack(self, items: list[Any]) -> Any:
        """The items as one tensor if all are tensors of one shape and dtype, else as a list."""
        raise NotImplementedError

    def unbind(self, block: np.ndarray) -> list[Any]:
        """A tensor per row of an array of numbers, as `tensor` of each row makes it."""
        return list(map(self.tensor, block))

    def recursive_tensorize(self, value: Any) -> Any:
        """The tensors of a value: of the values of a dict, the items of a list or object array."""
        if isinstance(value, dict):
            return {key: self.recursive_tensorize(inner) for key, inner in value.items()}
        value = self._array(value)
        if isinstance(value, (list, tuple)) or _holds_objects(value):
            return self.stack([self.recursive_tensorize(item) for item in value])
        return self._leaf(value)

    def format_row(self, pa_table: Table) -> dict[str, Any]:
        return {name: self._rows(name, column)[0]
                for name, column in zip(pa_table.column_names, pa_table.columns, strict=True)}

    def format_column(self, pa_table: Table) -> Any:
        return self._column(pa_table.column_names[0], pa_table.column(0))

    def format_batch(self, pa_table: Table) -> dict[str, Any]:
        return {name: self._column(name, column)
                for name, column in zip(pa_table.column_names, pa_table.columns, strict=True)}

    def format_rows(self, pa_table: Table) -> Rows:
        names = tuple(pa_table.column_names)
        if not names:
            return [{} for _ in range(pa_table.num_rows)]
        return to_rows(names, map(self._rows, names, pa_table.columns))

    def _column(self, name: str, column: Column) -> Any:
        decode = self.decoder(name)
        if decode is None and _is_plain_text(column):
            return self._text_column(column)
        values: Any = to_numpy(column)
        if decode:
            values = [decode(value) for value in values]
        return self.recursive_tensorize(values)

    def _text_column(self, column: Column) -> Any:
        return to_list(column)

    def _rows(self, name: str, column: Column) -> list[Any]:
        """The value in each row, which does not depend on the other rows (nulls would make
        floats of integers)."""
        decode = self.decoder(name)
        if decode is None:
            if _is_plain_text(column):
                return list(self._text_column(column))
            if (block := to_block(column)) is not None:
                return self.unbind(block)
        if len(column) > 1 and has_nulls(column):
            return [row for index in range(len(column))
                    for row in self._rows(name, column.slice(index, 1))]
        values: Any = to_numpy(column)
        if decode:
            values = [decode(value) for value in values]
        return [self.recursive_tensorize(value) for value in values]

    def _array(self, value: Any) -> Any:
        """Tensors of torch, and whatever else has `__array__`, as numpy arrays."""
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            return value.detach().cpu().numpy()[()]
        if hasattr(value, "__array__") and not isinstance(value, (np.ndarray, np.generic)):
            return value.__array__()
        return value

    def _leaf(self, value: Any) -> Any:
        if value is None or isinstance(value, (str, bytes)):
            return value if type(value) in (str, bytes, type(None)) else self.texts(value)
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "SU":
            return self.texts(value)
        if is_pillow(value):
            return self.picture(value)
        return value if _is_stream(value) else self._checked(value)

    def _checked(self, value: Any) -> Any:
        try:
            return self.tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            if _is_number(value):
                raise
            kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else \
                f"a {type(value).__name__}"
            raise FormatError(f"{type(self).__name__} has no tensor for {kind}. Expected numbers, "
                              "strings, images, or lists or structs of them. Do: leave the column "
                              "out of the format, with_format(.., columns=[..])") from error


def number_kind(value: Any) -> str:
    """What a numpy array or scalar holds: "i" for integers and durations, "f", or ""."""
    kind = value.dtype.kind if isinstance(value, (np.ndarray, np.number)) else ""
    return "i" if kind in ("i", "u", "m") else "f" if kind == "f" else ""


def _is_number(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.kind in "biuf"
    return isinstance(value, (bool, int, float))


def _holds_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _is_plain_text(column: Column) -> bool:
    return len(column) > 0 and is_text(column.type) and not column.null_count


def _is_stream(value: Any) -> bool:
    """Whether it is a decoder of torchcodec or torchvision: these are handed out as they are."""
    return type(value).__module__.split(".")[0] in ("torchcodec", "torchvision")
