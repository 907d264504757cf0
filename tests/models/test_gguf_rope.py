"""Rotary positions in GGUF metadata, and its numbers of 32 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.errors import CheckpointError
from enfold.models.gguf.keys import Keys, shortest
from enfold.models.gguf.rope import divided, llama3_factors, rope_metadata, rope_values

LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 16.0,
        "original_max_position_embeddings": 32}


@pytest.mark.parametrize("values", [
    LLAMA3 | {"original_max_position_embeddings": 8192},
    LLAMA3 | {"factor": 32.0, "original_max_position_embeddings": 8192}])
def test_llama3s_formula_is_found_again(values: dict[str, Any]) -> None:
    factors = [float(np.float32(value)) for value in llama3_factors(values, 5e5, 128)]
    assert divided(factors, 5e5, 128, 131072) == {k: v for k, v in values.items()
                                                  if k != "rope_theta"}


@pytest.mark.parametrize("factors", [[1.0] * 64, [1.0, 7.0] * 32,
                                     [float(n + 1) for n in range(64)]])
def test_other_divisors_stay_as_they_are(factors: list[float]) -> None:
    found = divided(factors, 5e5, 128, 4096)
    assert found["rope_type"] == "longrope"
    assert found["long_factor"] == found["short_factor"] == factors
    assert found["attention_factor"] == 1.0


def test_rope_keys_there_and_back() -> None:
    path = Path("x.gguf")
    for values in (YARN, {"rope_type": "default", "rope_theta": 5e5}):
        keys, tensors = rope_metadata(values, 16)
        assert rope_values(Keys(keys, "", path), tensors, 16, 64) == values
    old = Keys({"rope.freq_base": 1e4, "rope.scale_linear": 2.0}, "", path)
    assert rope_values(old, {}, 16, 64)["factor"] == 2.0


def test_numbers_of_32_bits_are_written_as_people_write_them() -> None:
    for number in (1e-5, 1e-6, 0.1, 1e6, 500000.0, 3.4028234663852886e38, 1 / 3):
        single = float(np.float32(number))
        assert np.float32(shortest(single)) == np.float32(number)
    assert [shortest(float(np.float32(n))) for n in (1e-5, 0.1, 10000.0)] == [1e-5, 0.1, 10000.0]


def test_values_of_metadata() -> None:
    keys = Keys({"a.n": [96, 96], "a.id": 0, "a.text": "x", "a.eps": 0.5}, "a.", Path("x.gguf"))
    assert (keys.whole("n"), keys.whole("id", index=True), keys.whole("none")) == (96, 0, None)
    assert (keys.text("text"), keys.share("eps"), keys.share("n")) == ("x", 0.5, 96.0)
    for read, message in ((lambda: keys.whole("id"), r"a\.id is 0, expected a whole number above"),
                          (lambda: keys.whole("eps"), r"a\.eps is 0\.5, expected a whole number"),
                          (lambda: keys.share("text"), "is 'x', expected a number above 0"),
                          (lambda: keys.text("eps"), r"is 0\.5, expected text"),
                          (lambda: keys.whole("no", needed=True), "a.no is None")):
        with pytest.raises(CheckpointError, match=message):
            read()
