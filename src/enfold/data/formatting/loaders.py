"""Small tensors on their way out of a DataLoader's worker.

torch puts each tensor of a batch into shared memory and sends a file descriptor: a file, a mapping,
a connection and a thread that serves it, for 64 kB half a millisecond more than a pickle of the
bytes takes.  In a worker that reads a dataset of ours, small tensors go by value instead.
"""

from __future__ import annotations

import sys
from multiprocessing.reduction import ForkingPickler
from typing import Any

LARGEST = 256 << 10  # bytes; larger ones are cheaper shared
_told = False


def worker_info() -> Any:
    """torch's, in a worker process of a DataLoader; else None."""
    data = sys.modules.get("torch.utils.data")
    return data.get_worker_info() if data is not None else None


def send_by_value() -> None:
    """In a worker, have small tensors go by value from now on; elsewhere do nothing."""
    global _told
    if not _told and worker_info() is not None:
        import torch

        _told = True
        ForkingPickler.register(torch.Tensor, _reduced)


def _reduced(tensor: Any) -> Any:
    """How a tensor is pickled."""
    import torch
    from torch.multiprocessing import reductions

    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.requires_grad \
            or tensor.is_quantized or tensor.is_conj() or tensor.is_neg() \
            or tensor.nbytes > LARGEST or tensor.is_shared():
        as_torch_does: Any = reductions.reduce_tensor
        return as_torch_does(tensor)
    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return _made, (content, tensor.dtype, tuple(tensor.shape))


def _made(content: bytes, dtype: Any, shape: tuple[int, ...]) -> Any:
    """The tensor again, in memory of its own."""
    import torch

    if not content:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)
