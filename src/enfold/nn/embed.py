"""Token embedding: word, position and segment tables, norm, dropout.  B batch, T time, D width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.nn.native.training import dropout
from enfold.nn.norm import norm
from enfold.nn.table import Table
from enfold.spec import Learned, Sinusoid, Tokens


class TokenEmbedding(nn.Module):
    """The Module of `spec.Tokens`."""

    native = True

    def __init__(self, spec: Tokens, dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.token = Table(spec.vocab, dim, spec.pad)
        self.position = position_table(spec.position, dim)
        self.segment = Table(spec.types, dim) if spec.types else None
        self.norm = norm(spec.norm, dim) if spec.norm else None

    def forward(self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor,
                types: Tensor | None) -> Tensor:
        """[B, T, D] of ids [B, T] or embeds [B, T, D], positions [B or 1, T], segment ids."""
        x = self.words(ids) if embeds is None else embeds
        if self.spec.scale != 1.0 and embeds is None:
            x = x * self.spec.scale
        if self.segment is not None:
            segment = torch.zeros_like(positions) if types is None else types
            x = x + rows(self.segment, segment, "token_type_ids", "the model's segments")
        elif types is not None and self.spec.shared_types:
            x = x + rows(self.token, types, "token_type_ids", "the model's vocabulary")
        elif types is not None:
            _one_segment(types)
        if self.position is not None:
            x = x + self.position(positions)
        if self.norm is not None:
            x = self.norm(x)
        rate = self.spec.dropout if self.training else 0.0
        return dropout(self, x, rate) if rate else x

    def words(self, ids: Tensor | None) -> Tensor:
        """Rows of the word table; an id outside of it raises."""
        if ids is None:
            raise InputError("the model got no input. Do: give input_ids or inputs_embeds")
        return rows(self.token, ids, "input_ids", "the model's vocabulary", "Do: use the tokenizer "
                    "of this model, or model.resize_token_embeddings(len(tokenizer))")

    def locate(self, ids: Tensor | None, embeds: Tensor | None, offset: int) -> Tensor:
        """Positions [B or 1, T] of the new tokens after `offset` cached ones."""
        source = ids if ids is not None else embeds
        if source is None:
            raise InputError("the model got no input. Do: give input_ids or inputs_embeds")
        length, spec = source.shape[1], self.spec.position
        if isinstance(spec, Learned) and spec.pad is not None:
            if ids is None:  # without ids padding can't be seen: count from the first free row
                return torch.arange(spec.pad + 1 + offset, spec.pad + 1 + offset + length,
                                    device=source.device)[None]
            real = ids.ne(spec.pad)
            return (real.cumsum(1) + offset) * real + spec.pad
        return torch.arange(offset, offset + length, device=source.device)[None]


class LearnedPositions(Table):
    """A table of positions, `offset` rows further down; a text that is too long raises."""

    def __init__(self, spec: Learned, dim: int) -> None:
        super().__init__(spec.count, dim, spec.pad)
        self.offset, self.pad = spec.offset, spec.pad

    def forward(self, positions: Tensor) -> Tensor:
        try:
            return super().forward(positions + self.offset if self.offset else positions)
        except IndexError:
            limit = self.num_embeddings - self.offset - (0 if self.pad is None else self.pad + 1)
            longest = int(positions.max()) + 1 - (0 if self.pad is None else self.pad + 1)
            raise InputError(f"the text has {longest} tokens, expected at most {limit} (the "
                             "model's positions). "
                             f"Do: tokenizer(..., truncation=True, max_length={limit})") from None


class SinusoidPositions(Table):
    """Fixed positions: sines in the first half of the features, cosines in the second."""

    computed = ("weight",)  # never stored: made here

    def __init__(self, spec: Sinusoid, dim: int) -> None:
        super().__init__(spec.count, dim)
        self.weight.requires_grad_(False)
        self.offset = 0

    def compute(self) -> Tensor:
        """The table."""
        return sinusoid(*self.weight.shape)

    def forward(self, positions: Tensor) -> Tensor:
        try:
            return super().forward(positions)
        except IndexError:
            raise InputError(f"the text has {int(positions.max()) + 1} tokens, expected at most "
                             f"{self.num_embeddings} (the model's positions). Do: tokenizer(..., "
                             "truncation=True)") from None


def _one_segment(types: Tensor) -> None:
    """Raise for segments of a model that has none."""
    message = ("token_type_ids mark two segments, but the model knows none. Do: leave them out, or "
               "tokenizer(..., return_token_type_ids=False)")
    if torch.compiler.is_compiling():
        torch._assert_async(types.eq(0).all(), message)
    elif bool(types.any()):
        raise InputError(message)


def rows(table: nn.Embedding, ids: Tensor, name: str, what: str,
         do: str = "Do: use the tokenizer of this model") -> Tensor:
    """Rows of a table; an index outside of it raises (on a GPU, torch's own error)."""
    try:
        return table(ids)  # type: ignore[no-any-return]
    except IndexError:
        bad = ids[(ids < 0) | (ids >= table.num_embeddings)]
        raise InputError(f"{name} hold {int(bad.flatten()[0])}, expected 0 to "
                         f"{table.num_embeddings - 1} ({what}). {do}") from None


def sinusoid(count: int, dim: int) -> Tensor:
    """sin(p / 10000^(2i/D)) for feature i of the first half, cos for the second; [count, D]."""
    half = math.ceil(dim / 2)
    rate = torch.pow(10000.0, -2.0 * torch.arange(half, dtype=torch.float64) / dim)
    angle = torch.arange(count, dtype=torch.float64)[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()[:, : dim // 2]), -1).float()


def position_table(spec: Learned | Sinusoid | None,
                   dim: int) -> LearnedPositions | SinusoidPositions | None:
    """The Module of a position spec."""
    if spec is None:
        return None
    if isinstance(spec, Learned):
        return LearnedPositions(spec, dim)
    return SinusoidPositions(spec, dim)
