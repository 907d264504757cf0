"""Tensors on their way out of a DataLoader's workers."""

from __future__ import annotations

import pickle
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from torch.utils.data import DataLoader

from enfold.data import Dataset
from enfold.data.formatting import loaders


def through(tensor: torch.Tensor) -> torch.Tensor:
    make, given = loaders._reduced(tensor)
    assert make is loaders._made
    return make(*pickle.loads(pickle.dumps(given)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float16,
                                   torch.bfloat16, torch.float64, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_small_tensors_go_by_value(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape, dtype=dtype)
    found = through(tensor)
    assert found.dtype == dtype and found.shape == shape and torch.equal(found, tensor)
    found.fill_(0)  # it may be written to, and nothing else changes
    assert torch.equal(tensor, torch.ones(shape, dtype=dtype))


def test_views_go_by_value_as_what_they_show() -> None:
    whole = torch.arange(1_000_000).reshape(1000, 1000)
    assert torch.equal(through(whole[:3, ::2].T), whole[:3, ::2].T)


@pytest.mark.parametrize("make", [
    lambda: torch.ones(loaders.LARGEST + 1, dtype=torch.uint8),
    lambda: torch.ones(2).share_memory_(), lambda: torch.ones(2, 2).to_sparse(),
    lambda: torch.ones(2, device="meta"),
    lambda: torch.ones(2, dtype=torch.complex64).conj(), lambda: torch.ones(2, requires_grad=True),
], ids=["large", "shared", "sparse", "device", "conjugate", "gradient"])
def test_others_go_as_torch_sends_them(make) -> None:
    assert loaders._reduced(make())[0] is not loaders._made


@pytest.mark.parametrize("stream", [False, True])
def test_batches_of_workers_are_those_of_none(stream: bool) -> None:
    rows = Dataset.from_dict({"x": list(range(100)), "t": [str(n) for n in range(100)]})
    rows = rows.to_iterable_dataset(num_shards=1) if stream else rows
    expected = list(DataLoader(rows, batch_size=8))
    found = list(DataLoader(rows, batch_size=8, num_workers=1))
    assert [batch["t"] for batch in found] == [batch["t"] for batch in expected]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one["x"], other["x"]) and not one["x"].is_shared()
    assert ForkingPickler._extra_reducers[torch.Tensor] is not loaders._reduced  # in this process


def test_no_torch_is_imported_for_this() -> None:
    code = ("import sys; from enfold.data import Dataset; "
            "Dataset.from_dict({'x': [1]}).__getitems__([0]); assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
