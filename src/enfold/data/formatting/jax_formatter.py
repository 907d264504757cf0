"""jax arrays: int32 (int64 where jax_enable_x64 is set) and float32 unless asked otherwise."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.formatting.formatter import Tokens
from enfold.data.formatting.tensors import TensorFormatter, number_kind
from enfold.errors import DataError
from enfold.lazy import require


class JaxFormatter(TensorFormatter):
    """Dicts of jax arrays.

    device: the name of the device to put them on, as `str(jax.devices()[0])` gives it; None: the
    first one.  jnp_array_kwargs: those of `jax.numpy.array` (dtype=..).
    """

    def __init__(self, features: Features | None = None, device: str | None = None,
                 token_per_repo_id: Tokens = None, **jnp_array_kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self._jax, self._numpy = require("jax"), require("jax.numpy")
        if device is not None and not isinstance(device, str):
            raise DataError(f"the jax format got a device that is a {type(device).__name__}. "
                            "Expected its name, since devices can't be pickled. Do: str(device)")
        devices = {str(each): each for each in self._jax.devices()}
        first = next(iter(devices))
        if device is not None and device not in devices:
            warnings.warn(f"jax has no device {device!r} here, only {', '.join(devices)}: "
                          f"using {first}", stacklevel=2)
        self.device = device if device in devices else first
        self.jnp_array_kwargs = jnp_array_kwargs

    def tensor(self, array: Any) -> Any:
        default: dict[str, Any] = {}
        kind = number_kind(array)
        if kind == "i":
            wide = self._jax.config.jax_enable_x64
            default = {"dtype": self._numpy.int64 if wide else self._numpy.int32}
        elif kind == "f":
            default = {"dtype": self._numpy.float32}
        return self._made(array, {**default, **self.jnp_array_kwargs})

    def picture(self, image: Any) -> Any:
        return self._made(np.asarray(image), self.jnp_array_kwargs)

    def stack(self, items: list[Any]) -> Any:
        first, kind = items[0] if items else None, self._jax.Array
        if isinstance(first, kind) and all(
                isinstance(item, kind) and item.shape == first.shape and item.dtype == first.dtype
                for item in items):
            return self._numpy.stack(items, axis=0)
        return items

    def _made(self, array: Any, options: dict[str, Any]) -> Any:
        # a device itself could not be pickled with the formatter
        device = next(each for each in self._jax.devices() if str(each) == self.device)
        with self._jax.default_device(device):
            return self._numpy.array(array, **options)

    def _array(self, value: Any) -> Any:
        return value if isinstance(value, self._jax.Array) else super()._array(value)
