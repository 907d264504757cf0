"""The parts of a step of decoding (see `step`): modules as functions that hold their weights.

B rows, H heads, K kv heads, G = H / K, D head_dim, S keys
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.nn.attention import CrossAttention, SelfAttention
from enfold.nn.cache import Cache
from enfold.nn.linear import SMALLEST, Linear, worthwhile
from enfold.nn.mlp import FeedForward
from enfold.nn.native import fused, linear
from enfold.nn.native.fused import CODES, Normalizer, goes_native
from enfold.nn.native.step import StepAttention, layout
from enfold.nn.norm import LayerNorm, RMSNorm, normalizer
from enfold.nn.quantized import QuantizedLinear
from enfold.nn.rope import rotate
from enfold.spec import Attention, Rope

Function = Callable[[Tensor], Tensor]
Join = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Now:
    """What the branches of one step share.  `fixed`: shapes are the same at each step."""

    fixed = False
    __slots__ = ("_bias", "_rotary", "_turns", "cache", "length", "mask", "memory_mask",
                 "positions", "relative", "seen", "seen_memory", "threads")

    def __init__(self, turns: Any, relative: Any, cache: Cache) -> None:
        self._turns, self.relative, self.cache = turns, relative, cache

    def begin(self, positions: Tensor | None, mask: Tensor | None,
              memory_mask: Tensor | None) -> None:
        """Set up for a step."""
        self.positions, self.length = positions, self.cache.length
        self.threads = torch.get_num_threads()
        self._rotary: dict[tuple[Rope, int, bool], tuple[Tensor, Tensor]] = {}
        self._bias: dict[bool, Tensor | None] = {}
        self.seen, self.seen_memory = _seen(mask), _seen(memory_mask)
        self.mask = None if self.seen is None else self.seen[:, None, None, :]
        self.memory_mask = (None if self.seen_memory is None
                            else self.seen_memory[:, None, None, :])

    def cos_sin(self, rope: Rope, dim: int, *, exact: bool = False) -> tuple[Tensor, Tensor]:
        """cos and sin, fetched once per rope and step; exact: in fp32."""
        key = (rope, dim, exact)
        if key not in self._rotary:
            self._rotary[key] = self._turns(rope, dim, self.positions, exact=exact)
        return self._rotary[key]

    def bias(self, *, exact: bool = False) -> Tensor | None:
        """The bias of distances, [1, H, 1, S]; exact: in fp32."""
        if exact not in self._bias:
            self._bias[exact] = self.relative(exact=exact)
        return self._bias[exact]

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put a step's key and value [B, K, 1, D] into the cache; those of all positions."""
        return self.cache.states[layer].append(k, v, self.length)

    def view(self, spec: Attention, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The keys and values [B, K, S, D] that an attention looks at, and a mask over them."""
        mask, window = self.memory_mask if spec.cross else self.mask, spec.window
        if window is not None and k.shape[2] > window:
            k, v = k[:, :, -window:], v[:, :, -window:]
            mask = None if mask is None else mask[..., -window:]
        bias = self.bias() if spec.position else None
        if bias is not None:
            mask = bias if mask is None else bias.masked_fill(~mask, float("-inf"))
        return k, v, mask


def _seen(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.bool().contiguous()


def function(module: nn.Module, like: Tensor) -> Function:
    """A module for inference on tensors like `like`, as a function; anything unusual as it is."""
    if hooked(module):
        return module
    if type(module) is Linear or isinstance(module, QuantizedLinear):
        return module.kernel(like.dtype)
    if type(module) not in (LayerNorm, RMSNorm):
        return module
    own = normalizer(module, like)
    if own is not None:
        return own
    if type(module) is RMSNorm:
        return module.kernel(like.dtype)
    shape, weight, bias, eps = (getattr(module, name) for name in
                                ("normalized_shape", "weight", "bias", "eps"))
    return lambda x: F.layer_norm(x, shape, weight, bias, eps)


def joiner(branch: Any, following: nn.Module | None, like: Tensor) -> Join:
    """(x, h) -> (x with the branch's h, that as the next branch takes it: `following` its norm)."""
    after = None if branch.norm_out is None else function(branch.norm_out, like)
    last = None if branch.norm_sum is None else function(branch.norm_sum, like)
    then = None if following is None else function(following, like)

    def join(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = h if after is None else after(h)
        if isinstance(last, Normalizer):
            x = last(x, h, x)
        elif last is not None:
            x = last(x + h)
        elif isinstance(then, Normalizer):
            return x, then(x, h, x)
        else:
            x = x + h
        return x, x if then is None else then(x)

    return join


def feed_forward(branch: FeedForward, like: Tensor) -> Function:
    """A feed-forward's `mix`."""
    down, act = function(branch.down, like), branch.act
    code = CODES.get(act) if goes_native(branch, like) else None
    if branch.gate is None:
        up = function(branch.up, like)
        if code is None:
            return lambda h: down(act(up(h)))
        return lambda h: down(fused.gate(code, up(h)))
    both = several([branch.gate, branch.up], like)

    def mix(h: Tensor) -> Tensor:
        gate, up = both(h)
        return down(act(gate) * up if code is None else fused.gate(code, gate, up))

    return mix


def several(modules: list[Any], like: Tensor) -> Callable[[Tensor], Any]:
    """Linear layers that take the same input, in one pass where that is possible."""
    if all(_direct(module, like.dtype) for module in modules):
        return linear.joined([m.weight for m in modules], [m.bias for m in modules])
    each = [function(module, like) for module in modules]
    return lambda h: [one(h) for one in each]


def _direct(module: nn.Module, dtype: torch.dtype) -> bool:
    """Whether our kernels multiply by a module's weight."""
    return (type(module) is Linear and module.native and not hooked(module)
            and module.weight.dtype == dtype and module.weight.numel() >= SMALLEST
            and linear.fits(module.weight, module.bias) and worthwhile(dtype, 1))


def attention(branch: Any, now: Now, like: Tensor) -> Function:
    """An attention's `mix`, which appends to the cache."""
    spec, cross = branch.spec, isinstance(branch, CrossAttention)
    if not now.fixed and goes_native(branch, like) and StepAttention.takes(spec):
        return StepAttention(branch, now, _outputs(branch, like), function(branch.o, like), like)
    scale, out = branch.scale, function(branch.o, like)
    read = _cross_reader(branch, now, like) if cross else _reader(branch, now, like)
    group = spec.kv_heads, spec.heads // spec.kv_heads, spec.head_dim

    def run(h: Tensor) -> Tensor:
        q, k, v = read(h)  # q [B, H, 1, D], k and v [B, K, S, D]
        k, v, mask = now.view(spec, k, v)
        batch = q.shape[0]
        mixed = F.scaled_dot_product_attention(q.reshape(batch, *group), k, v, mask, scale=scale)
        return out(mixed.reshape(batch, 1, -1))

    return run


def _reader(branch: SelfAttention, now: Now, like: Tensor) -> Callable[[Tensor], Any]:
    spec = branch.spec
    project, rope = _projection(branch, like), spec.rope
    half = 0 if rope is None else (rope.dim or spec.head_dim) // 2
    joint = rope is not None and not rope.interleaved and 2 * half == spec.head_dim

    def read(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = project(h)
        if joint:  # one rotation for the heads of both
            cos, sin = now.cos_sin(rope, spec.head_dim)  # type: ignore[arg-type]
            x = torch.cat((q, k), 1)
            x = x * cos + x.roll(half, -1) * sin
            q, k = x[:, : spec.heads], x[:, spec.heads :]
        elif rope is not None:
            cos, sin = now.cos_sin(rope, spec.head_dim)
            q, k = (rotate(x, cos, sin, rope.interleaved) for x in (q, k))
        return (q, *now.append(branch.layer, k, v))

    return read


def _projection(branch: SelfAttention, like: Tensor) -> Callable[[Tensor], Any]:
    """h [B, 1, W] -> q [B, H, 1, D], k and v [B, K, 1, D]."""
    spec = branch.spec
    if spec.fused or branch.q_norm is not None:
        return branch.project
    each = several([branch.q, branch.k, branch.v], like)
    sizes = (spec.heads, spec.kv_heads, spec.kv_heads)
    return lambda h: [x.view(h.shape[0], size, 1, spec.head_dim)
                      for x, size in zip(each(h), sizes, strict=True)]


def _outputs(branch: Any, like: Tensor) -> Callable[[Tensor], Any]:
    """h [B, 1, W] -> what holds q, k and v as `layout` says: one tensor or three, or q alone."""
    spec = branch.spec
    if spec.fused:
        joint = function(branch.qkv, like)
        return lambda h: (joint(h),) * len(layout(spec))
    if isinstance(branch, CrossAttention):
        to_q = function(branch.q, like)
        return lambda h: (to_q(h),)
    each = several([branch.q, branch.k, branch.v], like)
    if branch.q_norm is None:
        return each
    norms, width = (function(branch.q_norm, like), function(branch.k_norm, like)), spec.head_dim

    def normed(h: Tensor) -> Any:
        q, k, v = each(h)
        if spec.qk_norm_over == "head":
            q, k = q.unflatten(-1, (-1, width)), k.unflatten(-1, (-1, width))
        return norms[0](q), norms[1](k), v

    return normed


def _cross_reader(branch: Any, now: Now, like: Tensor) -> Callable[[Tensor], Any]:
    spec, cache, layer = branch.spec, now.cache, branch.layer
    to_q = function(branch.q, like)

    def read(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k, v = cache.cross[layer]
        return to_q(h).view(h.shape[0], spec.heads, 1, spec.head_dim), k, v

    return read


def hooked(module: nn.Module) -> bool:
    """Whether hooks want to see a module called."""
    return bool(module._forward_hooks or module._forward_pre_hooks)
