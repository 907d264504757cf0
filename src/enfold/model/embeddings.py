"""Reaching and resizing the token tables of a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.nn.table import Table


class Embeddings:
    """The part of a model's face that is about its vocabulary."""

    body: Any
    head: Any
    config: Any

    def get_input_embeddings(self) -> nn.Embedding:
        """The token table."""
        return self._tables()[0].token  # type: ignore[no-any-return]

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token table, in every place that uses it."""
        shared = self._tables()[0].token.weight
        for table in self._tables():
            if table.token.weight is shared:
                table.token = value
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | None:
        """The projection to the vocabulary, if the head has one."""
        out = getattr(self.head, "out", None)
        return out if out is not None and hasattr(self.head.spec, "tied") else None

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the projection to the vocabulary."""
        if self.get_output_embeddings() is None:
            raise InputError(f"{type(self).__name__} has no output embeddings to set")
        self.head.out = value

    def resize_token_embeddings(self, new_num_tokens: int | None = None,
                                pad_to_multiple_of: int | None = None,
                                mean_resizing: bool = True) -> nn.Embedding:
        """Make room for `new_num_tokens` tokens, rounded up to a multiple if asked; returns the
        table.

        New rows are the mean of the old ones, or random as at the start if not `mean_resizing`.
        The output projection, its bias and `config.vocab_size` follow.
        """
        if getattr(self, "tp_size", None):
            raise NotImplementedError("a model that processes share (tp_plan) can't change its "
                                      "vocabulary. Do: resize and save it without tp_plan first")
        old = self.get_input_embeddings().num_embeddings
        count = _rounded(old if new_num_tokens is None else new_num_tokens, pad_to_multiple_of)
        if count < 1:
            raise InputError(f"resize_token_embeddings got {count} tokens, expected at least 1")
        if count == old:
            return self.get_input_embeddings()
        std = None if mean_resizing else float(self.config.get("initializer_range", 0.02))
        tables: dict[int, nn.Embedding] = {}
        for embed in self._tables():
            key = id(embed.token.weight)
            tables.setdefault(key, _table(embed.token, count, std))
            embed.token = tables[key]
        self._resize_output(count, std)
        self.config.vocab_size = count
        self.tie_weights()
        return self.get_input_embeddings()

    def _resize_output(self, count: int, std: float | None) -> None:
        out = self.get_output_embeddings()
        if out is None:
            return
        out.weight = nn.Parameter(_rows(out.weight, count, std), out.weight.requires_grad)
        out.out_features = count
        if out.bias is not None:
            out.bias = nn.Parameter(_rows(out.bias, count, None, fill=0.0), out.bias.requires_grad)
        fixed = getattr(self.head, "fixed_bias", None)
        if fixed is not None:
            self.head.fixed_bias = _rows(fixed.t(), count, None, fill=0.0).t().contiguous()

    def _tables(self) -> list[Any]:
        """The embedding modules, input first."""
        if hasattr(self.body, "embed"):
            return [self.body.embed]
        return [self.body.encoder.embed, self.body.decoder.embed]

    def tie_weights(self, **_: Any) -> None:
        """Defined by the model."""
        raise NotImplementedError


def _rounded(count: int, multiple: int | None) -> int:
    return count if not multiple else -(-count // multiple) * multiple


def _table(old: nn.Embedding, count: int, std: float | None) -> nn.Embedding:
    pad = old.padding_idx if old.padding_idx is not None and old.padding_idx < count else None
    with torch.device("meta"):
        new = Table(count, old.embedding_dim, pad)
    new.weight = nn.Parameter(_rows(old.weight, count, std), old.weight.requires_grad)
    return new


def _rows(old: Tensor, count: int, std: float | None, fill: float | None = None) -> Tensor:
    """`old` cut or extended to `count` rows: `fill`, noise of `std`, or the mean row."""
    kept = old.detach()[:count]
    more = count - kept.shape[0]
    if more <= 0:
        return kept.clone()
    new = kept.new_empty((more, *kept.shape[1:]))
    if fill is not None:
        new.fill_(fill)
    elif std is not None:
        new.normal_(0.0, std)
    else:
        new.copy_(kept.float().mean(0, keepdim=True).to(kept.dtype).expand_as(new))
    return torch.cat((kept, new))
