"""Attention by the native library: many queries at once, and a step of decoding.

B rows, H heads, K kv heads, D features of a head, T queries, S keys
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.nn.native.library import F32, I64, INT, P, declare

DTYPES = {torch.float32: 0, torch.bfloat16: 1}
WIDEST = 512  # features of a head that a step takes


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class AttentionArgs(ctypes.Structure):
    """As in native/attention.cpp."""

    _fields_ = (*_fields(P, "query key value out starts mask bias"),
                *_fields(I64, "query_row query_token query_head key_row key_token key_head "
                              "value_row value_token value_head out_row out_token out_head "
                              "mask_row bias_row bias_head bias_token"),
                *_fields(INT, "batch heads kv_heads dim queries keys causal window threads dtype"),
                ("scale", F32))


class StepArgs(ctypes.Structure):
    """As in native/attention_step.cpp."""

    _fields_ = (*_fields(P, "query key value keys values out cos sin mask bias"),
                *_fields(I64, "query_row query_group key_row key_head value_row value_head "
                              "cache_row cache_head cache_token rope_row mask_row bias_head"),
                *_fields(INT, "batch heads kv_heads dim rotated interleaved length window threads "
                              "dtype"),
                ("scale", F32))


_attention = declare("enfold_attention", ctypes.POINTER(AttentionArgs))
step_function = declare("enfold_attention_step", ctypes.POINTER(StepArgs))


@dataclass(frozen=True, slots=True)
class Seen:
    """Which keys a query sees: all, or those that all of these allow.

    padding [B, S] of zeros and ones; causal: none behind it, where the last query stands at the
    last key; window: none that is so many positions away; starts [B + 1]: the rows stand one behind
    the other in [1, N, .., ..], from starts[b] to starts[b + 1].
    """

    causal: bool = False
    window: int | None = None
    padding: Tensor | None = None
    starts: Tensor | None = None


def takes(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether `attention` computes on these, [B, H, T, D] and [B, K, S, D] twice."""
    return (q.dtype in DTYPES and q.dtype == k.dtype == v.dtype and q.is_cpu
            and q.stride(3) == k.stride(3) == v.stride(3) == 1
            and (torch.compiler.is_compiling() or _attention() is not None))


def attention(q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float,
              bias: Tensor | None = None) -> Tensor:
    """softmax(scale * q k' + bias) v of q [B, H, T, D], k and v [B, K, S, D]; [B, H, T, D].

    A query that sees nothing gets zeros.  bias: broadcastable to [B, H, T, S] but for S.
    """
    if torch.compiler.is_compiling():
        return torch.ops.enfold.attention(  # type: ignore[no-any-return]
            q, k, v, seen.padding, seen.starts, seen.causal, seen.window, scale, bias)
    batch, heads, queries, dim = q.shape
    out = q.new_empty(batch, queries, heads, dim).transpose(1, 2)
    padding, starts = seen.padding, seen.starts
    if padding is not None and padding.dtype not in (torch.bool, torch.uint8):
        padding = padding.ne(0)
    if bias is not None:
        bias = bias.float().contiguous()
    args = AttentionArgs(
        q.data_ptr(), k.data_ptr(), v.data_ptr(), out.data_ptr(),
        None if starts is None else starts.data_ptr(),
        None if padding is None else padding.data_ptr(), None if bias is None else bias.data_ptr(),
        *_strides(q), *_strides(k), *_strides(v), *_strides(out),
        0 if padding is None else padding.stride(0), *_bias(bias),
        batch if starts is None else starts.shape[0] - 1, heads, k.shape[1], dim, queries,
        k.shape[2], seen.causal, seen.window or 0, torch.get_num_threads(), DTYPES[q.dtype], scale)
    _attention()(args)  # type: ignore[misc]
    return out


def _strides(x: Tensor) -> tuple[int, int, int]:
    row, head, token, _ = x.stride()
    return row, token, head


def _bias(bias: Tensor | None) -> tuple[int, int, int]:
    """Steps over rows, heads and queries; none where it is the same for all."""
    if bias is None:
        return 0, 0, 0
    row, head, token = (0 if size == 1 else step
                        for size, step in zip(bias.shape[:3], bias.stride(), strict=False))
    return row, head, token


@torch.library.custom_op("enfold::attention", mutates_args=())
def _op(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, starts: Tensor | None,
        causal: bool, window: int | None, scale: float, bias: Tensor | None) -> Tensor:
    """For graphs: torch.compile sees one operation."""
    return attention(q, k, v, Seen(causal, window, padding, starts), scale, bias)


@_op.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, starts: Tensor | None,
      causal: bool, window: int | None, scale: float, bias: Tensor | None) -> Tensor:
    batch, heads, queries, dim = q.shape
    return q.new_empty(batch, queries, heads, dim).transpose(1, 2)
