"""tensorflow tensors: int64 and float32 unless asked otherwise; strings are tensors as well."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.formatting.formatter import Tokens
from enfold.data.formatting.pylists import Column, to_list
from enfold.data.formatting.tensors import TensorFormatter, number_kind
from enfold.lazy import require


class TFFormatter(TensorFormatter):
    """Dicts of tensorflow tensors; rows of different lengths become RaggedTensors.

    tf_tensor_kwargs: those of `tf.convert_to_tensor` (dtype=..).
    """

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **tf_tensor_kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self.tf_tensor_kwargs = tf_tensor_kwargs
        self._tf = require("tensorflow")

    def tensor(self, array: Any) -> Any:
        default: dict[str, Any] = {}
        kind = number_kind(array)
        if kind == "i":
            default = {"dtype": self._tf.int64}
        elif kind == "f":
            default = {"dtype": self._tf.float32}
        return self._tf.convert_to_tensor(array, **{**default, **self.tf_tensor_kwargs})

    def texts(self, array: Any) -> Any:
        return self._tf.convert_to_tensor(array, **self.tf_tensor_kwargs)

    def picture(self, image: Any) -> Any:
        return self._tf.convert_to_tensor(np.asarray(image), **self.tf_tensor_kwargs)

    def stack(self, items: list[Any]) -> Any:
        tf = self._tf
        if not items or not all(isinstance(item, (tf.Tensor, tf.RaggedTensor))
                                and item.dtype == items[0].dtype for item in items):
            return items
        dense = all(isinstance(item, tf.Tensor) for item in items)
        if dense and all(item.shape == items[0].shape for item in items):
            return tf.stack(items)
        # of more dimensions, those that all rows agree on would become ragged too
        flat = all(len(item.shape) == 1 for item in items)
        return tf.ragged.stack(items) if flat else items

    def _text_column(self, column: Column) -> Any:
        return self.texts(to_list(column))

    def _array(self, value: Any) -> Any:
        ours = isinstance(value, (self._tf.Tensor, self._tf.RaggedTensor))
        return value if ours else super()._array(value)

    def _leaf(self, value: Any) -> Any:
        return self.texts(value) if isinstance(value, (str, bytes)) else super()._leaf(value)
