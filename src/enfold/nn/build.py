"""Spec type -> Module."""

from __future__ import annotations

from torch import nn

from enfold.nn.encdec import EncoderDecoder
from enfold.nn.stack import Transformer
from enfold.spec import Body, EncDec


def build(spec: Body, *, pooled: bool = False) -> Transformer | EncoderDecoder:
    """The Module of a transformer.  Build under `torch.device("meta")` to allocate nothing."""
    return EncoderDecoder(spec) if isinstance(spec, EncDec) else Transformer(spec, pooled=pooled)


class Conv1D(nn.Linear):
    """A linear layer whose weight is stored [in, out], as in GPT-2's checkpoints."""

    @classmethod
    def of(cls, linear: nn.Linear) -> Conv1D:
        """`linear` with its weight turned, parameters uninitialised on the same device."""
        turned = cls.__new__(cls)
        nn.Module.__init__(turned)
        turned.in_features, turned.out_features = linear.in_features, linear.out_features
        empty = linear.weight.new_empty(linear.in_features, linear.out_features)
        turned.weight = nn.Parameter(empty)
        turned.bias = linear.bias
        return turned

    def forward(self, input):  # type: ignore[no-untyped-def]
        return nn.functional.linear(input, self.weight.t(), self.bias)
