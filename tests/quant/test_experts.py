"""Quantized mixtures of experts: each expert has layers, as in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from enfold.adapt import LoraConfig, get_peft_model
from enfold.errors import CheckpointError
from enfold.nn.quantized import QuantizedLinear
from tests.families.pairs import checkpoint, close, our_class, pair

KINDS = {"mixtral": "block_sparse_moe.experts.0.w1", "qwen3_moe": "mlp.experts.0.gate_proj"}
SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 64}


def folder(kind: str) -> Path:
    sizes = {name: size for name, size in SIZES.items() if kind != "mixtral" or "moe" not in name}
    return checkpoint(kind, "ForCausalLM", **sizes)


def load(kind: str, source: Path, **options: Any) -> Any:
    return our_class(kind, "ForCausalLM").from_pretrained(source, **options)


def logits(kind: str, model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**pair(kind, "ForCausalLM").inputs()).logits


@pytest.mark.parametrize("bits", ["load_in_4bit", "load_in_8bit"])
@pytest.mark.parametrize("kind", KINDS)
def test_load_save_and_dequantize(kind: str, bits: str, tmp_path: Path) -> None:
    model = load(kind, folder(kind), **{bits: True})
    layer = model.get_submodule(f"model.layers.1.{KINDS[kind]}")
    assert isinstance(layer, QuantizedLinear)
    assert layer is model.base_model.get_submodule(f"layers.1.{KINDS[kind]}")
    plain, found = logits(kind, load(kind, folder(kind))), logits(kind, model)
    assert 0 < float((found - plain).norm() / plain.norm()) < 0.5
    model.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert {f"model.layers.0.{KINDS[kind]}.weight", "model.layers.0." + KINDS[kind].partition(
        "experts")[0] + "gate.weight"} <= names
    assert not any("gate_up_proj" in name for name in names)
    skipped = json.loads((tmp_path / "config.json").read_text())["quantization_config"][
        "llm_int8_skip_modules"]
    assert "model.layers.0." + KINDS[kind].partition("experts")[0] + "gate" in skipped
    again = load(kind, tmp_path)
    close(logits(kind, again), found, 0)
    assert list(again.state_dict()) == list(model.state_dict())
    again.load_state_dict(model.state_dict())
    ids = pair(kind, "ForCausalLM").inputs()["input_ids"]
    assert again.generate(ids, max_new_tokens=3, do_sample=False).shape[0] == 2
    rest = logits(kind, model.dequantize()) - found  # a token may get another expert
    assert float(rest.norm() / found.norm()) < 0.4


def test_lora_on_single_experts(tmp_path: Path) -> None:
    """The names are layers again."""
    model = load("mixtral", folder("mixtral"), load_in_8bit=True)
    tuned = get_peft_model(model, LoraConfig(target_modules=["w1", "q_proj"], r=2))
    adapted = {path.partition("layers.0.")[2] for path in tuned.adapters.layers}
    assert {"block_sparse_moe.experts.3.w1", "self_attn.q_proj"} <= adapted
    given = pair("mixtral", "ForCausalLM").inputs()
    tuned(**given, labels=given["input_ids"]).loss.backward()
    assert all(p.grad is not None for name, p in tuned.named_parameters() if p.requires_grad
               and "q_proj" in name)


def test_stacks_are_not_quantized_as_they_are_read(tmp_path: Path) -> None:
    pair("mixtral", "ForCausalLM").theirs.save_pretrained(tmp_path, save_original_format=False)
    with pytest.raises(NotImplementedError, match="has experts stacked .*save_pretrained, which "
                                                  "writes single experts, and load that folder"):
        load("mixtral", tmp_path, load_in_4bit=True)


def test_quantized_routers_have_no_place(tmp_path: Path) -> None:
    """Such as transformers 4 writes in 4 bits."""
    from safetensors.torch import save_file

    source = folder("mixtral")
    tensors = load_file(source / "model.safetensors")
    tensors["model.layers.0.block_sparse_moe.gate.weight.absmax"] = torch.ones(4)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((source / "config.json").read_text())
    with pytest.raises(CheckpointError, match="no place for: 'model.layers.0.block_sparse_moe"):
        load("mixtral", tmp_path, load_in_4bit=True)
