"""save_gguf: a model and its tokenizer as one GGUF file that llama.cpp loads."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from enfold.errors import CheckpointError, InputError
from enfold.files.gguf import BY_NAME, write_gguf
from enfold.model.base import PreTrainedModel
from enfold.models.gguf.checkpoint import pair_heads, paired
from enfold.models.gguf.dialects import dialect_for
from enfold.models.gguf.metadata import FILE_TYPES, config_metadata
from enfold.text.gguf import tokenizer_metadata
from enfold.weights.packed import packed
from enfold.weights.slots import slots

if TYPE_CHECKING:
    from enfold.text import Tokenizer

WHOLE = ("position_embd.weight", "token_types.weight")  # llama.cpp wants these in F32


def save_gguf(model: PreTrainedModel, path: str | os.PathLike[str],
              tokenizer: Tokenizer | None = None, *, kind: str = "f16",
              name: str | None = None) -> Counter[str]:
    """Write a causal language model of the families llama, mistral, qwen2 and gpt2.

    kind: f32, f16, bf16, q8_0 or q4_0.  Norms, biases and positions stay F32; with q4_0 the output
    (or the embedding that it is) is Q8_0; a matrix whose rows are no multiple of 32 becomes F16.
    tokenizer: without one the file has no vocabulary, and llama.cpp won't load it.  Returns how
    many tensors are of which type.
    """
    if kind not in FILE_TYPES:
        raise InputError(f"GGUF type {kind!r}, expected one of {', '.join(FILE_TYPES)}")
    dialect = dialect_for(model.config.model_type)
    _refuse(model)
    title = name or Path(model.name_or_path or model.config.model_type).name
    metadata, factors = config_metadata(model.config, dialect, kind, title)
    if tokenizer is not None:
        metadata |= tokenizer_metadata(tokenizer, model.config.vocab_size)
    table, tensors, heads = dialect.table(), _factors(factors), {}
    for slot in slots(model):
        if slot.computed:
            continue
        theirs = table.theirs(slot.name)
        heads[theirs] = pair_heads(slot.name, dialect.pairs, model.config)
        tensors[theirs] = slot.tensor.detach().t() if _turned(model, slot.name) else slot.tensor
    kinds = {name: _kind(name, tensor, kind, tied="output.weight" not in tensors)
             for name, tensor in tensors.items()}
    write_gguf(path, metadata, tensors, kinds,
               lambda name, value: paired(value, heads[name]) if heads.get(name) else value)
    return Counter(kinds.values())


def _refuse(model: PreTrainedModel) -> None:
    if not type(model).__name__.endswith(("ForCausalLM", "LMHeadModel")):
        raise InputError(f"{type(model).__name__} can't be written as GGUF. Expected a causal "
                         "language model. Do: load it with AutoModelForCausalLM")
    if model.adapters is not None:
        raise CheckpointError("a model with adapters can't be written as GGUF. Do: merge them "
                              "first (model = model.merge_and_unload())")
    if packed(model):
        raise CheckpointError("a quantized model can't be written as GGUF. Do: load it without "
                              "quantization_config, and convert that with --type q8_0 or q4_0")


def _turned(model: PreTrainedModel, ours: str) -> bool:
    module, _, leaf = ours.rpartition(".")
    return leaf == "weight" and model.names.is_transposed(module)


def _kind(name: str, tensor: Tensor, kind: str, *, tied: bool) -> str:
    """What a tensor is stored as."""
    if tensor.ndim < 2 or name in WHOLE:
        return "F32"
    if kind == "q4_0" and name == ("token_embd.weight" if tied else "output.weight"):
        kind = "q8_0"
    return "F16" if tensor.shape[-1] % BY_NAME[kind.upper()].block else kind.upper()


def _factors(factors: dict[str, list[float]]) -> dict[str, Any]:
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in factors.items()}
