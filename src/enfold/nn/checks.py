"""What a model's inputs must be, said before a kernel stumbles over them.  Shapes only: looking at
values would stop a GPU.

B batch, T new tokens, S cached and new tokens, M tokens of the encoder, D width
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.errors import InputError

INTEGER = (torch.long, torch.int)
TOKENIZE = "tokenizer(text, return_tensors='pt')"


def check_tensor(name: str, value: Any, shape: str) -> None:
    """Raise unless `value` is a tensor; `shape` says of which shape it should be."""
    if isinstance(value, Tensor):
        return
    do = "model(**inputs)" if hasattr(value, "keys") else "torch.tensor(...)"
    if name == "input_ids" and do != "model(**inputs)":
        do += f", or {TOKENIZE}"
    raise InputError(f"{name} is a {type(value).__name__}, expected a tensor {shape}. Do: {do}")


def check_ids(ids: Any) -> None:
    """input_ids [B, T] of integers."""
    check_tensor("input_ids", ids, "[batch, length]")
    if ids.dim() != 2:
        do = "input_ids[None] for one text" if ids.dim() == 1 else TOKENIZE
        raise InputError(f"input_ids have shape {tuple(ids.shape)}, expected [batch, length]. "
                         f"Do: {do}")
    if ids.dtype not in INTEGER:
        raise InputError(f"input_ids are of {ids.dtype}, expected torch.long. Do: pass token ids; "
                         "embeddings go into inputs_embeds")


def check_embeds(embeds: Any, width: int) -> None:
    """inputs_embeds [B, T, D]."""
    check_tensor("inputs_embeds", embeds, "[batch, length, width]")
    if embeds.dim() != 3 or embeds.shape[2] != width:
        raise InputError(f"inputs_embeds have shape {tuple(embeds.shape)}, expected [batch, "
                         f"length, {width}]. Do: model.get_input_embeddings()(input_ids)")


def check_inputs(width: int, ids: Any, embeds: Any, offset: int, **per_token: Any) -> None:
    """The new tokens, behind `offset` cached ones, and what goes along with them.

    per_token: attention_mask [B, S] or [B, H, T, S]; token_type_ids, position_ids [B or 1, T].
    """
    if embeds is None:
        check_ids(ids)
    else:
        check_embeds(embeds, width)
    batch, length = (ids if embeds is None else embeds).shape[:2]
    if not batch * length:
        raise InputError(f"the model got no tokens: the input has shape {(batch, length)}. Do: "
                         "leave empty texts out")
    check_mask(per_token.pop("attention_mask"), batch, length, offset + length)
    for name, value in per_token.items():
        if value is not None:
            check_tensor(name, value, "[batch, length]")
            if value.dim() != 2 or value.shape[1] != length or value.shape[0] not in (1, batch):
                raise InputError(f"{name} have shape {tuple(value.shape)}, expected "
                                 f"{(batch, length)}, one per token. Do: leave them out")


def check_mask(mask: Any, batch: int, queries: int, keys: int) -> None:
    """attention_mask [B, S], or [B or 1, H or 1, T, S]."""
    if mask is None:
        return
    check_tensor("attention_mask", mask, "[batch, length]")
    if mask.dim() not in (2, 4):
        raise InputError(f"attention_mask has shape {tuple(mask.shape)}, expected [batch, length] "
                         "or [batch, heads, queries, keys]")
    wanted = (batch, keys) if mask.dim() == 2 else (queries, keys)
    if mask.shape[-1] == keys and mask.shape[0] in (1, batch) and (
            mask.dim() == 2 or mask.shape[2] in (1, queries)):
        return
    cached, do = "", "pass on the tokenizer's"
    if keys > queries:
        cached = f" ({keys - queries} cached and {queries} new tokens)"
        do += ", and extend it by one column per generated token"
    raise InputError(f"attention_mask has shape {tuple(mask.shape)}, expected "
                     f"{wanted if mask.dim() == 2 else (batch, 'heads', *wanted)}{cached}. Do: "
                     f"{do}")


def check_memory(memory: Any, mask: Any, batch: int) -> None:
    """The encoder's output [B, M, D] and its mask [B, M]."""
    check_tensor("the encoder's output", memory, "[batch, length, width]")
    if memory.dim() != 3 or memory.shape[0] != batch:
        raise InputError(f"the encoder's output has shape {tuple(memory.shape)}, the decoder's "
                         f"input has {batch} rows. Do: give as many rows of input_ids as of "
                         "decoder_input_ids or labels")
    if mask is not None:
        check_tensor("attention_mask", mask, "[batch, length]")
        if mask.dim() == 2 and mask.shape != memory.shape[:2]:
            raise InputError(f"attention_mask has shape {tuple(mask.shape)}, expected "
                             f"{tuple(memory.shape[:2])}, that of the encoder's input. Do: pass "
                             "on the tokenizer's")
