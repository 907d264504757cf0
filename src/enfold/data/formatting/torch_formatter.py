"""torch tensors: int64 and float32 unless asked otherwise; images are [channels, height, width]."""

from __future__ import annotations

from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.formatting.formatter import Tokens
from enfold.data.formatting.tensors import TensorFormatter, number_kind
from enfold.lazy import require

_HUGE = 4 << 20  # bytes from which numpy asks for huge pages: dear where memory is in pieces
_NUMBERS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")


class TorchFormatter(TensorFormatter):
    """Dicts of torch tensors.  torch_tensor_kwargs: those of `torch.tensor` (dtype=, device=)."""

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **torch_tensor_kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self.torch_tensor_kwargs = torch_tensor_kwargs
        self._torch = require("torch")
        self._numpy = {getattr(self._torch, name): np.dtype(name) for name in _NUMBERS}

    def tensor(self, array: Any) -> Any:
        options = self._options(array)
        if isinstance(array, np.ndarray) and (target := self._target(array, options)) is not None:
            return self._torch.from_numpy(array.astype(target, order="C"))
        if number_kind(array) == "i" and array.dtype in (np.uint16, np.uint32):
            array = array.astype(np.int64)
        return self._torch.tensor(array, **options)

    def _options(self, array: Any) -> dict[str, Any]:
        """What `torch.tensor` is called with."""
        kind, torch = number_kind(array), self._torch
        default = {"i": {"dtype": torch.int64}, "f": {"dtype": torch.float32}}.get(kind, {})
        return {**default, **self.torch_tensor_kwargs}

    def _target(self, array: np.ndarray, options: dict[str, Any]) -> np.dtype[Any] | None:
        """The dtype to which numpy copies as `torch.tensor` does, in half the time; else None."""
        target = self._numpy.get(options["dtype"]) if options.keys() == {"dtype"} else None
        if target is None or array.size * target.itemsize >= _HUGE:
            return None
        return target if array.dtype == target or array.dtype.kind in "biu" else None

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
        target = self._target(block[0, ...], self._options(block))
        if target is None:
            return [self.tensor(row) for row in block]
        tensor = self._torch.from_numpy
        return [tensor(block[row, ...].astype(target, order="C")) for row in range(len(block))]

    def _array(self, value: Any) -> Any:
        return value if isinstance(value, self._torch.Tensor) else super()._array(value)

    def split(self, batch: Any) -> list[Any]:
        return super().split({name: _rows(values) for name, values in batch.items()})


def _rows(values: Any) -> Any:
    return values if isinstance(values, list) else values.unbind()
