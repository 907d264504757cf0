"""Process-wide settings, read when they are used.

`compat`: where transformers 4 and 5 mean different things, "5" (the default) or "4" decides:
the default dtype of `from_pretrained` (the checkpoint's in 5, float32 in 4) and what
`apply_chat_template(tokenize=True)` returns (a BatchEncoding in 5, ids in 4).  Set it by
`enfold.set_compat("4")` or the environment variable ENFOLD_COMPAT.
"""

from __future__ import annotations

import os

from enfold.errors import ArgumentError

_VERSIONS = ("4", "5")
_chosen: str | None = None


def set_compat(version: str | int | None) -> None:
    """Choose the meaning of transformers "4" or "5"; None goes back to ENFOLD_COMPAT or "5"."""
    global _chosen
    _chosen = None if version is None else _checked(str(version), "set_compat")


def compat() -> str:
    """The version whose meaning holds: "4" or "5"."""
    return _chosen or _checked(os.environ.get("ENFOLD_COMPAT") or "5", "ENFOLD_COMPAT")


def _checked(version: str, where: str) -> str:
    version = version.removeprefix("v")
    if version not in _VERSIONS:
        raise ArgumentError(f"{where}: got {version!r}, expected '4' or '5'")
    return version


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed random, numpy and torch, on all devices.

    deterministic: torch also picks algorithms that repeat exactly, and raises where it has none.
    """
    import random

    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # read when CUDA starts
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def enable_full_determinism(seed: int, warn_only: bool = False) -> None:
    """`set_seed(seed, deterministic=True)`.  warn_only: warn where torch has no such algorithm."""
    import torch

    set_seed(seed, deterministic=True)
    if warn_only:
        torch.use_deterministic_algorithms(True, warn_only=True)
