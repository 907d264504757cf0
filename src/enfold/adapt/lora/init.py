"""First values of LoRA's matrices.

PiSSA (https://arxiv.org/abs/2404.02948) and OLoRA (https://arxiv.org/abs/2406.01775) start A and B
from the base weight and take their product out of it; LoftQ (https://arxiv.org/abs/2310.08659)
starts them from what quantisation loses.   weight [O, I], A [r, I], B [O, r], s the scaling
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.nn import blocks4

if TYPE_CHECKING:
    from enfold.adapt.lora.config import LoraConfig


@torch.no_grad()
def start(delta: Any, config: LoraConfig) -> None:
    """Give a linear layer's A and B their first values."""
    first, second, kind = delta.lora_A.weight, delta.lora_B.weight, config.init_lora_weights
    if kind is False or first.is_meta:
        return
    if kind is True:
        nn.init.kaiming_uniform_(first, a=5**0.5)
    elif kind == "gaussian":
        nn.init.normal_(first, std=1 / delta.rank)
    elif kind == "orthogonal":
        _orthogonal(delta, first, second)
        return
    else:
        _from_weight(delta, str(kind), config, first, second)
        return
    nn.init.zeros_(second)
    if delta.lora_B.bias is not None:
        nn.init.zeros_(delta.lora_B.bias)


@torch.no_grad()
def embedding_start(delta: Any, config: LoraConfig) -> None:
    """Give an embedding's A and B their first values."""
    if isinstance(config.init_lora_weights, str) and config.init_lora_weights != "gaussian":
        raise NotImplementedError(f"init_lora_weights={config.init_lora_weights!r} on an embedding "
                                  "is not built. Do: use True, or leave the embedding out")
    if delta.lora_embedding_A.is_meta:
        return
    start_a = nn.init.normal_ if config.init_lora_weights is False else nn.init.zeros_
    start_a(delta.lora_embedding_A)
    nn.init.normal_(delta.lora_embedding_B)


def _from_weight(delta: Any, kind: str, config: LoraConfig, first: Tensor, second: Tensor) -> None:
    """A and B out of the base weight, which keeps the rest."""
    scaling, rank = delta.scaling, delta.rank
    weight = delta.layer.matrix.float()
    if rank > min(weight.shape):
        raise InputError(f"init_lora_weights={kind!r} with r={rank} on a weight of "
                         f"{tuple(weight.shape)}: expected r of at most {min(weight.shape)}. "
                         "Do: give a smaller r")
    if kind == "olora":
        q, r = torch.linalg.qr(weight)
        b, a, rest = q[:, :rank], r[:rank], weight
    elif kind == "loftq":
        b, a, rest = loftq(weight, rank, **config.loftq_config)
        if not b.any():
            raise InputError("init_lora_weights='loftq': the base weight is what "
                             f"{config.loftq_config.get('loftq_bits', 4)} bits hold already, so "
                             "nothing is left to correct. Do: load the base model without "
                             "quantization for it, or init_lora_weights=True")
        delta.layer.hold(rest)
        first.copy_(a / scaling**0.5)
        second.copy_(b / scaling**0.5)
        return
    else:
        b, a = _principal(weight, rank, kind, scaling)
        rest = weight
    first.copy_(a)
    second.copy_(b)
    delta.layer.hold(rest - scaling * (b @ a))


def _principal(weight: Tensor, rank: int, kind: str, scaling: float) -> tuple[Tensor, Tensor]:
    """B, A of the largest singular values, by all of the decomposition or by iterations."""
    if kind == "pissa":
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
        u, s, vh = u[:, :rank], s[:rank], vh[:rank]
    else:
        u, s, v = torch.svd_lowrank(weight, rank, niter=int(kind.rpartition("_")[2]))
        vh = v.t()
    root = (s / scaling).sqrt()
    return u * root, root[:, None] * vh


def _orthogonal(delta: Any, first: Tensor, second: Tensor) -> None:
    """A and B with orthogonal rows of one rotation, their product zero."""
    rank = delta.rank
    if rank % 2:
        raise InputError(f"init_lora_weights='orthogonal' needs an even r, got {rank}. Do: give "
                         f"{rank + 1}")
    rotation, _ = torch.linalg.qr(torch.randn(rank, rank))
    inner = torch.randn(first.shape[1], rank // 2) @ rotation[0::2]  # [I, r]
    outer = torch.randn(rank // 2, second.shape[0]).t() @ rotation[1::2]  # [O, r]
    first.copy_(inner.t() / 10)
    second.copy_(outer / 10)


def loftq(weight: Tensor, rank: int, loftq_bits: int = 4,
          loftq_iter: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """(B, A, weight as quantisation leaves it), B A the best correction of rank r."""
    rest, corrected = weight, torch.zeros_like(weight)
    for _ in range(loftq_iter):
        quantized = _rounded(weight - corrected, loftq_bits)
        u, s, vh = torch.linalg.svd(weight - quantized, full_matrices=False)
        root = s[:rank].sqrt()
        b, a = u[:, :rank] * root, root[:, None] * vh[:rank]
        corrected, rest = b @ a, quantized
    return b, a, rest


def _rounded(weight: Tensor, bits: int, block: int = 64) -> Tensor:
    """A weight as 4 bits (normal floats by blocks) or 8 bits (by rows) would hold it."""
    if bits == 8:
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
        return (weight / scale).round() * scale
    if bits != 4:
        raise InputError(f"loftq_bits is {bits}, expected 4 or 8. Do: give one of these")
    packed, absmax = blocks4.quantize(weight, "nf4", block)
    return blocks4.dequantize(packed, absmax, "nf4", block, weight.numel()).view_as(weight)
