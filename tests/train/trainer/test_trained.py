"""What a run trains: nothing, or what quantization leaves, raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import enfold
from enfold.errors import ConfigError
from tests.families.pairs import fresh
from tests.train.trainer.runs import ours, rows


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("plain")
    fresh("llama", "ForCausalLM").ours.save_pretrained(folder)
    return lambda: enfold.AutoModelForCausalLM.from_pretrained(folder, load_in_4bit=True)


def train(model: Any, folder: Path) -> float:
    return float(ours(model, folder, rows("causal", 8), max_steps=2).train().training_loss)


def test_no_weight(tmp_path: Path) -> None:
    model = fresh("llama", "ForCausalLM").ours
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="no weight of LlamaForCausalLM is trained"):
        train(model, tmp_path)


def test_what_quantization_leaves(quantized: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="linear layers of LlamaForCausalLM are quantized and "
                                          "can't be trained.*get_peft_model"):
        train(quantized(), tmp_path)


def test_a_part_that_was_chosen(quantized: Any, tmp_path: Path) -> None:
    model = quantized()
    model.requires_grad_(False)
    model.get_submodule("model.norm").requires_grad_(True)
    assert train(model, tmp_path) > 0


def test_an_adapter(quantized: Any, tmp_path: Path) -> None:
    model = enfold.get_peft_model(quantized(), enfold.LoraConfig(target_modules=["q_proj"]))
    assert train(model, tmp_path) > 0
