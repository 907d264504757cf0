"""Tests for a machine with a GPU; skipped on others.

ENFOLD_GPU_TESTS_ON=cpu runs them on the CPU: that shows that the tests run, nothing else.
"""

from __future__ import annotations

import os

import pytest
import torch

DEVICE = os.environ.get("ENFOLD_GPU_TESTS_ON", "cuda")


@pytest.fixture(scope="session", autouse=True)
def device() -> torch.device:
    """The device that is tested."""
    if DEVICE == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return torch.device(DEVICE)
