"""Attention with its gradient by the native library, in fp32, over texts that stand one behind
the other: scores are made anew in the backward pass, and dropout's choices from their seed.

N tokens of all texts, H heads, K kv heads, D features of a head
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from enfold.nn.native.attention import Seen, _fields
from enfold.nn.native.library import F32, I64, INT, P, declare
from enfold.nn.native.training import F64, U64, seed

LONGEST = 512  # tokens: the scores of a longer text leave a core's cache


class Heads(ctypes.Structure):
    """As in native/attention_train.cpp."""

    _fields_ = (("at", P), *_fields(I64, "token head"))


class TrainAttentionArgs(ctypes.Structure):
    """As in native/attention_train.cpp."""

    _fields_ = (*_fields(Heads, "q k v out above to_q to_k to_v"), *_fields(P, "norms starts"),
                *_fields(I64, "texts tokens"), ("seed", U64), ("rate", F64),
                *_fields(INT, "heads kv_heads dim causal threads"), ("scale", F32))


_forward = declare("enfold_attend_train", ctypes.POINTER(TrainAttentionArgs))
_backward = declare("enfold_attend_grad", ctypes.POINTER(TrainAttentionArgs))


def takes(q: Tensor, k: Tensor, v: Tensor, seen: Seen | None, longest: int) -> bool:
    """Whether `attention` computes on these, [B, H, T, D] and [B, K, S, D] twice."""
    return (seen is not None and seen.padding is None and seen.window is None
            and longest <= LONGEST and q.shape[2] == k.shape[2]
            and k.dtype == v.dtype == torch.float32 and k.is_cpu and v.is_cpu
            and (seen.starts is None or q.shape[0] == 1))


def attention(q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float, rate: float) -> Tensor:
    """softmax(scale * q k') v, with dropout of `rate` in between; `takes` holds.  [B, H, T, D]."""
    batch, _, length, _ = q.shape
    starts = seen.starts
    if starts is None:
        starts = torch.arange(batch + 1) * length
    facts = starts.contiguous(), seen.causal, scale, rate, seed() if rate else 0
    return _Attention.apply(q, k, v, facts)  # type: ignore[no-any-return, no-untyped-call]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor,  # type: ignore[override]
                facts: tuple[Any, ...]) -> Tensor:
        q, k, v = (flat(x) for x in (q, k, v))
        batch, heads, length, dim = q.shape
        out = q.new_empty(batch, length, heads, dim).transpose(1, 2)
        norms = q.new_empty(heads, batch * length)
        _forward()(arguments(facts, norms, q=q, k=k, v=v, out=out))  # type: ignore[misc]
        ctx.save_for_backward(q, k, v, out, norms)
        ctx.facts = facts
        return out

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "a gradient of a gradient through native attention is not built. Do: "
                "enfold.nn.attention.SelfAttention.native = False, which has torch compute it")
        (q, k, v, out, norms), above = ctx.saved_tensors, flat(above)
        grads = [x.new_empty(x.shape[0], x.shape[2], x.shape[1], x.shape[3]).transpose(1, 2)
                 for x in (q, k, v)]
        _backward()(arguments(ctx.facts, norms, q=q, k=k, v=v, out=out,  # type: ignore[misc]
                              above=above, to_q=grads[0], to_k=grads[1], to_v=grads[2]))
        return *(grad if wanted else None
                 for grad, wanted in zip(grads, ctx.needs_input_grad, strict=False)), None


def flat(x: Tensor) -> Tensor:
    """x [B, H, T, D] with the tokens of all rows at equal steps, the features side by side."""
    batch, _, length, _ = x.shape
    if x.stride(3) == 1 and (batch == 1 or x.stride(0) == length * x.stride(2)):
        return x
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def arguments(facts: tuple[Any, ...], norms: Tensor, **parts: Tensor) -> TrainAttentionArgs:
    """What the library is given; the tensors have to be kept meanwhile."""
    starts, causal, scale, rate, drawn = facts
    q, k = parts["q"], parts["k"]
    return TrainAttentionArgs(
        norms=norms.data_ptr(), starts=starts.data_ptr(), texts=len(starts) - 1,
        tokens=norms.shape[1], seed=drawn, rate=rate, heads=q.shape[1], kv_heads=k.shape[1],
        dim=q.shape[3], causal=causal, threads=torch.get_num_threads(), scale=scale,
        **dict(places(parts)))


def places(parts: dict[str, Tensor]) -> Iterator[tuple[str, Heads]]:
    """Where each tensor's heads are."""
    for name, x in parts.items():
        yield name, Heads(x.data_ptr(), x.stride(2), x.stride(1))
