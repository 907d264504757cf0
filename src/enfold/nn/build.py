"""Spec type -> Module."""

from __future__ import annotations

from enfold.nn.encdec import EncoderDecoder
from enfold.nn.stack import Transformer
from enfold.spec import Body, EncDec


def build(spec: Body, *, pooled: bool = False) -> Transformer | EncoderDecoder:
    """The Module of a transformer.  Build under `torch.device("meta")` to allocate nothing."""
    return EncoderDecoder(spec) if isinstance(spec, EncDec) else Transformer(spec, pooled=pooled)
