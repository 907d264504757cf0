"""Tiny models, and GGUF files of them with something changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import enfold
from enfold.files.gguf import GGUFFile, write_gguf
from enfold.model.gguf import save_gguf

SIZES = {"vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
GPT2 = {"vocab_size": 96, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64,
        "bos_token_id": 0, "eos_token_id": 1}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 16.0,
        "original_max_position_embeddings": 32}
IDS = torch.arange(3, 21).view(2, 9)


def random(model: Any) -> Any:
    generator = torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data.uniform_(-0.3, 0.3, generator=generator)
    return model.eval()


def outputs(model: Any) -> Any:
    with torch.no_grad():
        return model(IDS)[0]


def tiny(kind: str, **values: Any) -> Any:
    sizes = GPT2 if kind == "GPT2" else SIZES
    config = getattr(enfold, f"{kind}Config")(**(sizes | values))
    head = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    return random(getattr(enfold, kind + head)(config))


def edit(model: Any, folder: Path, change: Callable[[dict[str, Any]], Any],
         tensors: Callable[[dict[str, Any]], Any] = lambda held: None) -> Path:
    """x.gguf of a model with other metadata or tensors."""
    save_gguf(model, folder / "first.gguf", kind="f32")
    file = GGUFFile(folder / "first.gguf")
    metadata, held = dict(file.metadata), {name: file.get(name) for name in file.entries}
    change(metadata)
    tensors(held)
    write_gguf(folder / "x.gguf", metadata, held, dict.fromkeys(held, "F32"))
    return folder / "x.gguf"
