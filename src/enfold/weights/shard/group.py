"""The group of processes that torchrun has started: met once, left before Python ends."""

from __future__ import annotations

import atexit
import sys
from typing import Any

import torch
import torch.distributed as dist


def meet(backend: str | None = None, **options: Any) -> None:
    """Meet the other processes at the place that torchrun has set in the environment.

    backend: of torch.distributed; None takes NCCL for tensors on GPUs, gloo for others.
    """
    usual = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend or usual, **options)
    atexit.register(_leave)


def _leave() -> None:
    """End the group's threads.

    One that still lets go of a tensor when Python has ended now and then aborts the process.  After
    an error nothing is waited for: what other ranks were to send may never come.
    """
    if dist.is_initialized() and getattr(sys, "last_value", None) is None:
        dist.destroy_process_group()
