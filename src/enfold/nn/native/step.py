"""An attention's step of decoding in one call: rotate, append to the cache, attend.

B rows, H heads, K kv heads, G = H / K, D head_dim, S keys
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from torch import Tensor

from enfold.nn.cache import KV
from enfold.nn.native.attention import DTYPES, WIDEST, StepArgs, step_function
from enfold.spec import Attention

Place = tuple[int, int]  # of a group's numbers in a row: where the first is, from one to the next


def layout(spec: Attention) -> tuple[Place, Place, Place]:
    """Where queries, keys and values are in what the projections give (see `nn.attention`)."""
    dim, group = spec.head_dim, spec.heads // spec.kv_heads
    if spec.fused == "concat":
        width, kv_width = spec.heads * dim, spec.kv_heads * dim
        return (0, group * dim), (width, dim), (width + kv_width, dim)
    if spec.fused in ("per_head", "per_group"):
        step = (group + 2) * dim
        return (0, step), (group * dim, step), ((group + 1) * dim, step)
    return (0, group * dim), (0, dim), (0, dim)


class StepAttention:
    """`mix` of a self- or cross-attention.

    project: h [B, 1, W] -> the tensors that hold q, k and v, or q alone where the memory's keys are
    held; now: what the step's branches share.
    """

    def __init__(self, branch: Any, now: Any, project: Callable[[Tensor], Any],
                 out: Callable[[Tensor], Tensor], like: Tensor) -> None:
        spec: Attention = branch.spec
        self.spec, self.now, self.project, self.out = spec, now, project, out
        self.layer, self.call = branch.layer, step_function()
        self.width, self.size = spec.heads * spec.head_dim, like.itemsize
        (first, group), (key, key_head), (value, value_head) = layout(spec)
        self.places = first * self.size, key * self.size, value * self.size
        rope = spec.rope
        self.args = StepArgs(
            query_group=group, key_head=key_head, value_head=value_head, heads=spec.heads,
            kv_heads=spec.kv_heads, dim=spec.head_dim, window=spec.window or 0,
            rotated=0 if rope is None else rope.dim or spec.head_dim,
            interleaved=rope is not None and rope.interleaved, dtype=DTYPES[like.dtype],
            scale=branch.scale)
        self.place = ctypes.byref(self.args)
        self.held: Tensor | None = None
        self.copies: tuple[Tensor, ...] = ()

    @staticmethod
    def takes(spec: Attention) -> bool:
        """Whether a step of such an attention is built."""
        return step_function() is not None and spec.head_dim <= WIDEST

    def __call__(self, h: Tensor) -> Tensor:
        parts, args, now = self.project(h), self.args, self.now
        if self.spec.cross:
            keys, values = now.cache.cross[self.layer]
            seen, length = now.seen_memory, keys.shape[2]
        else:
            state: KV = now.cache.states[self.layer]
            keys, values = state.reserve(now.length, 1)
            seen, length = now.seen, now.length + 1
            self._append(parts)
        if keys is not self.held:
            self._hold(keys, values)
        args.query, args.query_row = parts[0].data_ptr(), parts[0].stride(0)
        args.batch, args.length, args.threads = h.shape[0], length, now.threads
        args.mask = None
        if seen is not None:
            args.mask, args.mask_row = seen.data_ptr(), seen.stride(0)
        if self.spec.position is not None:
            bias = now.bias(exact=True)
            args.bias, args.bias_head = bias.data_ptr(), bias.stride(1)
        out = h.new_empty(h.shape[0], 1, self.width)
        args.out = out.data_ptr()
        self.call(self.place)  # type: ignore[misc]
        return self.out(out)

    def _append(self, parts: Any) -> None:
        """The new key and value, behind the others, and how far to rotate."""
        args, (_, key, value), (_, k, v) = self.args, self.places, parts
        args.key, args.key_row = k.data_ptr() + key, k.stride(0)
        args.value, args.value_row = v.data_ptr() + value, v.stride(0)
        if self.spec.rope is not None:
            cos, sin = self.now.cos_sin(self.spec.rope, self.spec.head_dim, exact=True)
            args.cos, args.sin = cos.data_ptr(), sin.data_ptr()
            args.rope_row = 0 if cos.shape[0] == 1 else cos.stride(0)

    def _hold(self, keys: Tensor, values: Tensor) -> None:
        args, self.held = self.args, keys
        if keys.stride() != values.stride() or keys.stride(3) != 1:  # an encoder's: only read
            keys, values = self.copies = keys.contiguous(), values.contiguous()
        args.keys, args.values = keys.data_ptr(), values.data_ptr()
        args.cache_row, args.cache_head, args.cache_token = keys.stride()[:3]
