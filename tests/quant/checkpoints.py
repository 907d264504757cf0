"""A tiny Llama and its quantized twins, whose tensors are made here."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def save_llama(folder: Path, tied: bool = False) -> Path:
    """A random Llama of width 64 in fp16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, eos_token_id=0,
                         pad_token_id=0, bos_token_id=0, tie_word_embeddings=tied,
                         initializer_range=0.2)
    LlamaForCausalLM(config).half().save_pretrained(folder)
    return folder


def save_quantized(source: Path, folder: Path, quantization: dict, convert) -> dict:
    """A twin whose projections are `convert(name, weight) -> (leaves, weight)`; its tensors with
    the projections as plain weights.
    """
    folder.mkdir()
    stored, plain = {}, {}
    for key, tensor in load_file(source / "model.safetensors").items():
        name, _, leaf = key.rpartition(".")
        if leaf == "weight" and name.rpartition(".")[2] in PROJECTIONS:
            leaves, plain[key] = convert(name, tensor)
            stored |= {f"{name}.{leaf}": value.contiguous() for leaf, value in leaves.items()}
        else:
            stored[key] = plain[key] = tensor
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config))
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    return plain


def plain_logits(source: Path, weights: dict, ids: torch.Tensor) -> torch.Tensor:
    """What transformers computes in fp32 from plain weights."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    model.load_state_dict({key: tensor.float() for key, tensor in weights.items()})
    with torch.no_grad():
        return model(ids).logits
