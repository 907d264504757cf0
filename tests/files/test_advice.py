"""Reading ahead and giving pages back change no value."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enfold.files.safetensors import SafetensorsFile, write_safetensors


@pytest.mark.parametrize("count", [0, 3, 5000])
def test_tensors_are_the_same_after_advice(count: int, tmp_path: Path) -> None:
    values = {"a": torch.randn(count), "b": torch.arange(count)}
    write_safetensors(tmp_path / "x.safetensors", values)
    file = SafetensorsFile(tmp_path / "x.safetensors")
    file.fetch("a")  # not mapped yet
    found = {name: file.get(name) for name in values}
    for name, value in values.items():
        file.fetch(name)
        assert torch.equal(found[name], value)
        file.release(name)
        assert torch.equal(found[name], value)
