"""llama2.c checkpoints (https://github.com/karpathy/llama2.c) as Llama folders.

    int32   dim, hidden, layers, heads, kv_heads, vocab (negative: output untied), positions
    fp32    embeddings [V, D]; each of the following for all layers at once:
            attention norm [L, D], q, k, v, o, mlp norm, gate, down, up; final norm [D];
            two tables of rotations [positions, D / heads / 2]; the output [V, D] if untied

V vocabulary, D width, L layers.  The file turns neighbouring features of a head together, Llama
folders the first half with the second: rows of q and k are put in that order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enfold.errors import CheckpointError, FileMissing
from enfold.files import atomic_folder_write, write_checkpoint, write_json
from enfold.text.classes import LlamaTokenizer

PathLike = str | os.PathLike[str]
HEADER, MAGIC = 7, 0x616B3432  # "ak42" opens the later versions of the format
BOS, EOS = 1, 2


def convert_llama2c(bin_path: PathLike, tokenizer_model: PathLike, folder: PathLike) -> None:
    """Write a Llama checkpoint with its tokenizer, that enfold and transformers load.

        convert_llama2c("stories260K.bin", "tok512.model", "stories260K")
        pipeline("text-generation", model="stories260K")("Once upon a time")

    bin_path: a checkpoint of llama2.c, version 0.  tokenizer_model: its SentencePiece model.
    folder: where to; an older checkpoint there is replaced once the new one is complete.
    Raises FileMissing, CheckpointError (another format, or a size that belies the header).
    """
    shape, numbers = _read(Path(bin_path))
    tensors = dict(_named(shape, _split(shape, numbers)))
    tokenizer = LlamaTokenizer(vocab_file=tokenizer_model)
    if len(tokenizer) != shape.vocab:
        raise CheckpointError(f"{bin_path}: embeddings for {shape.vocab} tokens, but "
                              f"{tokenizer_model} has {len(tokenizer)}. Do: give the tokenizer "
                              "that the model was trained with")
    with atomic_folder_write(folder) as staging:
        write_checkpoint(staging, tensors)
        write_json(staging / "config.json", shape.config())
        # a story ends where the next would begin
        write_json(staging / "generation_config.json",
                   {"bos_token_id": BOS, "eos_token_id": [BOS, EOS]})
        tokenizer.save_pretrained(staging)


@dataclass(frozen=True, slots=True)
class Shape:
    """The header."""

    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    positions: int
    tied: bool

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    def config(self) -> dict[str, Any]:
        """The header as config.json."""
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32",
            "vocab_size": self.vocab, "hidden_size": self.dim, "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "max_position_embeddings": self.positions,
            "tie_word_embeddings": self.tied, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "hidden_act": "silu", "bos_token_id": BOS, "eos_token_id": EOS,
        }  # fmt: skip

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the file in their order; of all layers together where L leads."""
        kv, rotations = self.kv_heads * self.head_dim, self.positions * self.head_dim // 2
        wide, narrow, norm = (self.dim, self.dim), (kv, self.dim), (self.dim,)
        up, down = (self.hidden, self.dim), (self.dim, self.hidden)
        each = {"input_layernorm": norm, "self_attn.q_proj": wide, "self_attn.k_proj": narrow,
                "self_attn.v_proj": narrow, "self_attn.o_proj": wide,
                "post_attention_layernorm": norm, "mlp.gate_proj": up, "mlp.down_proj": down,
                "mlp.up_proj": up}
        stacked = {name: (self.layers, *shape) for name, shape in each.items()}
        output = {} if self.tied else {"lm_head": (self.vocab, self.dim)}
        return {"model.embed_tokens": (self.vocab, self.dim), **stacked, "model.norm": norm,
                "cos": (rotations,), "sin": (rotations,), **output}


def _read(path: Path) -> tuple[Shape, Tensor]:
    """The header, and the numbers after it, memory-mapped."""
    if not path.is_file():
        raise FileMissing(f"{path}: no such file, expected a checkpoint of llama2.c")
    count = path.stat().st_size // 4
    words = torch.from_file(str(path), size=count, dtype=torch.int32) if count > HEADER else None
    head = [] if words is None else words[:HEADER].tolist()
    if words is None or head[0] == MAGIC or not _plausible(head):
        raise CheckpointError(f"{path}: the header is {head}, expected seven numbers: dim, hidden, "
                              "layers, heads, kv heads, vocabulary, positions. Do: export with "
                              "`export.py --version 0` of llama2.c")
    dim, hidden, layers, heads, kv_heads, vocab, positions = head
    shape = Shape(dim, hidden, layers, heads, kv_heads, abs(vocab), positions, tied=vocab > 0)
    needed = 4 * (HEADER + sum(map(prod, shape.tensors().values())))
    if path.stat().st_size != needed:
        raise CheckpointError(f"{path}: has {path.stat().st_size:,} bytes, its header asks for "
                              f"{needed:,}. Do: fetch the file again")
    return shape, words[HEADER:].view(torch.float32)


def _plausible(head: list[int]) -> bool:
    dim, _, _, heads, kv_heads, vocab, _ = head
    return (all(0 < number < 2**24 for number in (*head[:5], abs(vocab), head[6]))
            and dim % heads == 0 and heads % kv_heads == 0)


def _split(shape: Shape, numbers: Tensor) -> Iterator[tuple[str, Tensor]]:
    shapes = shape.tensors()
    parts = torch.split(numbers, [prod(size) for size in shapes.values()])
    for (name, size), part in zip(shapes.items(), parts, strict=True):
        yield name, part.view(size)


def _named(shape: Shape, tensors: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """One tensor per layer, under Llama's names; the tables of rotations are left out."""
    for name, tensor in tensors:
        if name.startswith(("model.", "lm_head")):
            yield f"{name}.weight", tensor
        elif name not in ("cos", "sin"):
            turned = name.endswith(("q_proj", "k_proj"))
            for layer, part in enumerate(tensor):
                value = _halves(part, shape.head_dim) if turned else part
                yield f"model.layers.{layer}.{name}.weight", value


def _halves(weight: Tensor, head_dim: int) -> Tensor:
    """Rows of each head: the even ones, then the odd ones."""
    heads = weight.view(-1, head_dim // 2, 2, weight.shape[1])
    return heads.transpose(1, 2).reshape(weight.shape)
