"""numpy arrays: int64 and float32 unless asked otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.formatting.formatter import Tokens
from enfold.data.formatting.pylists import Column, to_list
from enfold.data.formatting.tensors import TensorFormatter, number_kind


class NumpyFormatter(TensorFormatter):
    """Dicts of numpy arrays.  np_array_kwargs: those of `np.asarray` (dtype=..)."""

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **np_array_kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self.np_array_kwargs = np_array_kwargs

    def tensor(self, array: Any) -> Any:
        if isinstance(array, np.number):
            return array
        made = np.asarray(array, **{**_default(array), **self.np_array_kwargs})
        return made if made.flags.writeable else made.copy()

    def texts(self, array: Any) -> Any:
        return array

    def picture(self, image: Any) -> np.ndarray:
        return np.asarray(image, **self.np_array_kwargs)

    def stack(self, items: list[Any]) -> np.ndarray:
        first = items[0] if items else None
        if isinstance(first, (np.ndarray, np.number, np.bool_)) and all(
                isinstance(item, (np.ndarray, np.number, np.bool_)) and item.shape == first.shape
                and item.dtype == first.dtype for item in items):
            return np.stack(items)
        objects = np.empty(len(items), dtype=object)
        objects[:] = items
        return objects

    def unbind(self, block: np.ndarray) -> list[Any]:
        if block.ndim == 1 and block.dtype.kind == "b":
            return [self.tensor(value) for value in block]
        return list(block) if block.ndim == 1 else list(map(self.tensor, block))

    def _text_column(self, column: Column) -> np.ndarray:
        return np.asarray(to_list(column))


def _default(array: Any) -> dict[str, Any]:
    kind = number_kind(array)
    return {"dtype": np.int64 if kind == "i" else np.float32} if kind else {}
