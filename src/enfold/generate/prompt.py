"""Rows to write on, and what is asked of the ids that they are made from."""

from __future__ import annotations

import inspect
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from enfold.errors import GenerationError, unknown_arguments
from enfold.generate.checks import as_ids
from enfold.generate.config import FIELDS, GenerationConfig


@dataclass(slots=True)
class Prompt:
    """Rows to write on.

    ids: [B, T]; T may be 0 where embeddings were given.
    context: positions before the first new token; more than T if `cache` holds text not in `ids`.
    mask: [B, context], None if nothing is padded.
    embeds: [B, T', D].  positions: [B, T], as given.  per_token: inputs [B, T] that go on.
    fixed: what every call of the model gets.
    source: ids of the encoder's input or of the prompt, None if there are none.
    """

    ids: Tensor
    context: int
    mask: Tensor | None = None
    embeds: Tensor | None = None
    positions: Tensor | None = None
    cache: Any = None
    per_token: dict[str, Tensor] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    source: Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens given, as ids or as embeddings."""
        return (self.ids if self.embeds is None else self.embeds).shape[1]

    def repeated(self, count: int) -> Prompt:
        """`count` copies of each row, of what is still needed after the first step."""

        def copies(value: Tensor | None) -> Any:
            return None if value is None else value.repeat_interleave(count, 0)

        return Prompt(
            copies(self.ids),
            self.context,
            copies(self.mask),
            copies(self.embeds),
            copies(self.positions),
            self.cache,
            {name: copies(value) for name, value in self.per_token.items()},
        )


def accepted(model: Any) -> AbstractSet[str]:
    """The names of the inputs that `model` (or an encoder) takes."""
    parameters = inspect.signature(model.forward).parameters.values()
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def main_input(model: Any, inputs: Any, given: dict[str, Any]) -> Tensor | None:
    """The main input, given as the first argument or by its name."""
    name = getattr(model, "main_input_name", None) or "input_ids"
    named = given.pop(name, None)
    if inputs is not None and named is not None:
        raise GenerationError(
            f"generate: inputs and {name} are the same thing, got both. Do: pass one"
        )
    main = named if inputs is None else inputs
    if main is not None and not isinstance(main, Tensor):
        how = (
            "generate(**inputs)"
            if hasattr(main, "keys")
            else "tokenizer(texts, return_tensors='pt')"
        )
        raise GenerationError(f"generate: {name} is a {type(main).__name__}, expected a tensor "
                              f"[batch, length]. Do: {how}")
    return main


def check_ids(model: Any, ids: Tensor, name: str) -> None:
    """Raise unless `ids` are rows of tokens that the model has."""
    if ids.dim() != 2:
        raise GenerationError(f"generate: {name} has shape {tuple(ids.shape)}, expected [batch, "
                              f"length]. Do: {name}[None] for one prompt")
    if ids.dtype not in (torch.long, torch.int):
        raise GenerationError(f"generate: {name} is of {ids.dtype}, expected torch.long. "
                              "Do: pass token ids; embeddings go into inputs_embeds")
    if not ids.numel():
        raise GenerationError(
            f"generate: {name} is empty, shape {tuple(ids.shape)}. Do: pass at least "
            "one token, or no prompt at all to start from bos_token_id"
        )
    size = _vocabulary(model)
    low, high = (int(value) for value in ids.aminmax())
    if size and not (low >= 0 and high < size):
        raise GenerationError(
            f"generate: {name} holds {high if high >= size else low}, expected ids from "
            f"0 to {size - 1}. Do: use the model's own tokenizer, or resize the "
            "embeddings to it"
        )


def _vocabulary(model: Any) -> int | None:
    table = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    weight = getattr(table, "weight", None)
    return getattr(model.config, "vocab_size", None) if weight is None else int(weight.shape[0])


def infer_mask(ids: Tensor, config: GenerationConfig) -> Tensor | None:
    """The mask of ids [B, T] given without one: padding is not text.  None if there is no padding.

    Where the padding is also an end token, it may be text.  One row has no reason to be padded; in
    a batch, padding that some rows start or end with and others don't is a guess that is not made.
    """
    pad = config.pad_token_id
    if pad is None:
        return None
    found = ids.eq(pad)
    if not bool(found.any()):
        return None
    if pad not in as_ids(config.eos_token_id):
        return (~found).long()
    edges = found[:, 0], found[:, -1]
    if any(bool(edge.any()) and not bool(edge.all()) for edge in edges):
        raise GenerationError(
            f"generate: the batch looks padded with {pad}, which is an end token too, and "
            "there is no attention_mask. Do: pass on the tokenizer's attention_mask"
        )
    return None


def with_past(prompt: Prompt) -> Prompt:
    """Check what `past_key_values` holds against the prompt: the whole text, or its new part."""
    if prompt.cache is None:
        return prompt
    held = prompt.cache.get_seq_length()
    if held >= prompt.context:
        raise GenerationError(
            f"generate: past_key_values holds {held} tokens and the prompt has "
            f"{prompt.length}: nothing new to read. Do: pass the whole text so far, "
            "the new part included"
        )
    return prompt


def rest(model: Any, given: dict[str, Any], takes: AbstractSet[str]) -> dict[str, Any]:
    """The inputs that every call of the model gets; raises for those it doesn't take."""
    given.pop("labels", None)
    unknown = [name for name in given if name not in takes]
    if unknown:
        raise unknown_arguments("generate", unknown, takes | FIELDS)
    return given
