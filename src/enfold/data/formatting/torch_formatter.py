"""torch tensors: int64 and float32 unless asked otherwise; images are [channels, height, width]."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.formatting.formatter import Tokens
from enfold.data.formatting.tensors import TensorFormatter, number_kind
from enfold.lazy import require

_LARGE = 1 << 14  # bytes of a row: a copy then costs more than a call of torch


class TorchFormatter(TensorFormatter):
    """Dicts of torch tensors.  torch_tensor_kwargs: those of `torch.tensor` (dtype=, device=)."""

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **torch_tensor_kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self.torch_tensor_kwargs = torch_tensor_kwargs
        self._torch = require("torch")

    def tensor(self, array: Any) -> Any:
        default: dict[str, Any] = {}
        kind = number_kind(array)
        if kind == "i":
            default = {"dtype": self._torch.int64}
            if array.dtype in (np.uint16, np.uint32):
                array = array.astype(np.int64)
        elif kind == "f":
            default = {"dtype": self._torch.float32}
        return self._torch.tensor(array, **{**default, **self.torch_tensor_kwargs})

    def picture(self, image: Any) -> Any:
        pixels = np.asarray(image)
        pixels = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
        return self._torch.tensor(pixels.transpose(2, 0, 1), **self.torch_tensor_kwargs)

    def stack(self, items: list[Any]) -> Any:
        first, kind = items[0] if items else None, self._torch.Tensor
        if isinstance(first, kind) and all(
                isinstance(item, kind) and item.shape == first.shape and item.dtype == first.dtype
                for item in items):
            return self._torch.stack(items)
        return items

    def unbind(self, block: np.ndarray) -> list[Any]:
        # a view would be pickled, and kept in memory, with all the other rows
        if len(block) == 1 or block[0].nbytes > _LARGE:
            return [self.tensor(row) for row in block]
        return [row.clone() for row in self.tensor(block).unbind()]

    def _array(self, value: Any) -> Any:
        return value if isinstance(value, self._torch.Tensor) else super()._array(value)

    def split(self, batch: Any) -> list[Any]:
        return super().split({name: _rows(values) for name, values in batch.items()})


def _rows(values: Any) -> Any:
    return values if isinstance(values, list) else values.unbind()
