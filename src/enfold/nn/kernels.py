"""Attention itself: softmax(q k^T * scale + mask) v.

B batch, H heads, K kv heads, G = H / K, T queries, S keys, D head_dim.
q [B, H, T, D], k and v [B, K, S, D].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.nn.masks import Mask

SHORT = 256


def eager(q: Tensor, k: Tensor, v: Tensor, mask: Mask, scale: float, bias: Tensor | None,
          dropout: float, upcast: bool) -> tuple[Tensor, Tensor]:
    """Attention in plain operations, and the probabilities [B, H, T, S] for whoever asks."""
    k, v = _repeat(k, q), _repeat(v, q)
    scores = torch.matmul(q, k.transpose(2, 3)) * scale
    if bias is not None:
        scores = scores + bias
    added = mask.additive(q.shape[2], k.shape[2], scores.dtype, q.device)
    if added is not None:
        scores = scores + added
    probabilities = torch.softmax(scores, -1, dtype=torch.float32 if upcast else None).to(q.dtype)
    probabilities = F.dropout(probabilities, dropout) if dropout else probabilities
    return torch.matmul(probabilities, v), probabilities


def sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Mask, scale: float, bias: Tensor | None,
         dropout: float) -> Tensor:
    """Attention by torch's fused kernel."""
    if _short(q, k):
        wide = None if bias is None else bias.float()
        out = sdpa(q.float(), k.float(), v.float(), mask, scale, wide, dropout)
        return out.to(q.dtype)
    tensor, causal = mask.tensor, mask.causal
    if bias is not None:
        added = mask.additive(q.shape[2], k.shape[2], bias.dtype, q.device)
        tensor, causal = bias if added is None else bias + added, False
    if tensor is not None and tensor.is_floating_point():
        tensor = tensor.to(q.dtype)
    if k.shape[1] == q.shape[1]:
        return F.scaled_dot_product_attention(q, k, v, tensor, dropout, causal, scale=scale)
    if q.shape[2] == 1 and (tensor is None or tensor.shape[1] == 1):
        return single(q, k, v, tensor, scale, dropout)
    return F.scaled_dot_product_attention(q, k, v, tensor, dropout, causal, scale=scale,
                                          enable_gqa=True)


def _short(q: Tensor, k: Tensor) -> bool:
    """Whether torch trains faster in fp32: with 16 bits on a CPU, up to some hundred keys."""
    return (q.dtype == torch.bfloat16 and q.device.type == "cpu" and q.requires_grad
            and k.shape[2] <= SHORT)


def single(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float,
           dropout: float = 0.0) -> Tensor:
    """One query per row, a step of decoding: a group's G heads stand as queries of its key."""
    batch, heads, _, dim = q.shape
    groups = q.reshape(batch, k.shape[1], heads // k.shape[1], dim)
    out = F.scaled_dot_product_attention(groups, k, v, mask, dropout, scale=scale)
    return out.reshape(batch, heads, 1, dim)


def _repeat(x: Tensor, q: Tensor) -> Tensor:
    return x if x.shape[1] == q.shape[1] else x.repeat_interleave(q.shape[1] // x.shape[1], 1)
