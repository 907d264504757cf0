"""What must not happen where nobody may wait for a device."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Watched(TorchDispatchMode):
    """Raises for what a CUDA graph can't hold: values that the host reads, or sends."""

    asks = ("item", "is_nonzero", "_local_scalar_dense", "nonzero", "masked_select", "equal",
            "lift_fresh", "_unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        assert name not in self.asks, func
        assert name != "index" or not any(part is not None and part.dtype == torch.bool
                                          for part in args[1])
        return func(*args, **(kwargs or {}))
