"""The switch between transformers 4 and 5, where they mean different things."""

from __future__ import annotations

import os

import pytest
import torch

import enfold
from enfold.errors import ArgumentError, ConfigError

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture(autouse=True)
def back():
    yield
    enfold.set_compat(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = enfold.LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8,
                                num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
    path = tmp_path_factory.mktemp("half")
    enfold.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return path


def test_the_default_dtype_is_the_checkpoints_in_5_and_float32_in_4(folder) -> None:
    assert enfold.LlamaForCausalLM.from_pretrained(folder).dtype == torch.bfloat16
    enfold.set_compat("4")
    assert enfold.LlamaForCausalLM.from_pretrained(folder).dtype == torch.float32
    assert enfold.LlamaForCausalLM.from_pretrained(folder, dtype="auto").dtype == torch.bfloat16


def test_chat_templates_return_a_dictionary_in_5_and_ids_in_4(minilm) -> None:
    tokenizer = enfold.AutoTokenizer.from_pretrained(minilm)
    chat = [{"role": "user", "content": "two words"}]
    assert list(tokenizer.apply_chat_template(chat, chat_template=TEMPLATE)) == [
        "input_ids", "token_type_ids", "attention_mask"]
    enfold.set_compat(4)
    assert tokenizer.apply_chat_template(chat, chat_template=TEMPLATE) == tokenizer(
        "two words", add_special_tokens=False)["input_ids"]


def test_the_environment_chooses_and_a_wrong_version_raises(monkeypatch, folder) -> None:
    monkeypatch.setenv("ENFOLD_COMPAT", "v4")
    assert enfold.LlamaForCausalLM.from_pretrained(folder).dtype == torch.float32
    monkeypatch.setenv("ENFOLD_COMPAT", "3")
    with pytest.raises(ArgumentError, match="ENFOLD_COMPAT: got '3', expected '4' or '5'"):
        enfold.LlamaForCausalLM.from_pretrained(folder)
    with pytest.raises(ArgumentError, match="set_compat: got '6', expected '4' or '5'"):
        enfold.set_compat(6)


def test_a_misspelt_config_attribute_raises_and_one_of_ones_own_is_kept() -> None:
    with pytest.raises(ConfigError, match="BertConfig: unknown 'hiden_size', which is nearly "
                                          "'hidden_size'. Do: write 'hidden_size', or set a value"):
        enfold.BertConfig(hiden_size=8)
    assert enfold.BertConfig(flavour="plain").flavour == "plain"


def test_full_determinism(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the user's own stays
    try:
        enfold.enable_full_determinism(3, warn_only=True)
        first = torch.rand(4)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        enfold.enable_full_determinism(3)
        assert torch.equal(torch.rand(4), first)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
