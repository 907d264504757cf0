"""Encoder and decoder, with one token table between them or two."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from enfold.nn.stack import Transformer
from enfold.spec import EncDec


class EncoderDecoder(nn.Module):
    """The Module of `spec.EncDec`; the model's forward runs its halves."""

    def __init__(self, spec: EncDec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Transformer(spec.encoder)
        self.decoder = Transformer(spec.decoder)
        if spec.share_embed:
            self.decoder.embed.token.weight = self.encoder.embed.token.weight

    def checkpoint(self, enabled: bool, **options: Any) -> None:
        """Recompute blocks in the backward pass, in both halves."""
        self.encoder.checkpoint(enabled, **options)
        self.decoder.checkpoint(enabled, **options)

    @property
    def eager(self) -> bool:
        """Whether attention runs in plain operations."""
        return self.decoder.eager

    @eager.setter
    def eager(self, value: bool) -> None:
        self.encoder.eager = self.decoder.eager = value


def shift_right(labels: Tensor, start: int, pad: int) -> Tensor:
    """Labels [B, T] as the decoder's input: `start` first, each token one later, -100 as `pad`."""
    shifted = labels.new_full(labels.shape, start)
    shifted[:, 1:] = labels[:, :-1]
    return shifted.masked_fill_(shifted == -100, pad)
