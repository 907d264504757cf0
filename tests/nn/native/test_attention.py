"""Native attention against fp64, at every level of this machine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.nn.attention import SelfAttention
from enfold.nn.cache import Cache
from enfold.nn.native.attention import Seen, attention
from enfold.nn.native.library import levels, using
from enfold.nn.native.step import StepAttention, layout
from enfold.nn.rope import cos_sin, rotate
from enfold.nn.step_parts import Now
from enfold.spec import Attention, Block, Norm, Rope

ERRORS = {torch.float32: 2e-6, torch.bfloat16: 8e-3}
LEVELS = pytest.mark.parametrize("level", levels())
DTYPES = st.sampled_from(list(ERRORS))
QUICK = settings(max_examples=25, deadline=None)


def exact(q, k, v, scale, seen=None, bias=None):
    """fp64 attention of q [B, H, T, D]; seen [B or 1, 1, T, S]; nothing seen gives zeros."""
    q, k, v = (x.double() for x in (q, k, v))
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = q @ k.transpose(2, 3) * scale
    scores = scores if bias is None else scores + bias.double()
    if seen is not None:
        scores = scores.masked_fill(~seen, float("-inf"))
    return scores.softmax(-1).nan_to_num(0) @ v


def triangle(queries, keys, *, causal, window, padding):
    row = torch.arange(queries)[:, None] + keys - queries
    column = torch.arange(keys)[None]
    seen = torch.ones(queries, keys, dtype=torch.bool)
    if causal:
        seen &= column <= row
    if window:
        seen &= (row - column < window) & (column - row < window)
    seen = seen[None, None]
    return seen if padding is None else seen & padding[:, None, None].bool()


def close(found, wanted, dtype, message=""):
    assert found.dtype == dtype
    error = (found.double() - wanted).norm() / wanted.norm().clamp(min=1e-6)
    assert error < ERRORS[dtype], f"off by {error:.1e} {message}"


def heads(batch, length, count, dim, dtype, generator, *, spare=0):
    """[B, H, T, D], as a view of [B, T, H, D + spare]."""
    x = torch.randn(batch, length, count, dim + spare, generator=generator)
    return x.to(dtype)[..., :dim].transpose(1, 2)


@LEVELS
@QUICK
@given(st.data())
def test_attention(level, data) -> None:
    draw, dtype = data.draw, data.draw(DTYPES)
    made = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    batch, kv, group = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    dim, queries = draw(st.sampled_from([1, 6, 16, 33, 64, 80, 128])), draw(st.integers(1, 140))
    keys = queries + draw(st.sampled_from([0, 0, 3, 200]))
    q = heads(batch, queries, kv * group, dim, dtype, made, spare=draw(st.integers(0, 3)))
    k, v = (heads(batch, keys, kv, dim, dtype, made, spare=draw(st.integers(0, 3)))
            for _ in "kv")
    causal, window = draw(st.booleans()), draw(st.sampled_from([None, 1, 7, 100]))
    padding = (torch.rand(batch, keys, generator=made) > 0.3) if draw(st.booleans()) else None
    bias = (torch.randn(1, kv * group, queries, keys, generator=made)
            if draw(st.booleans()) else None)
    threads = torch.get_num_threads()
    torch.set_num_threads(draw(st.sampled_from([1, 2])))
    try:
        with using(level):
            found = attention(q, k, v, Seen(causal, window, padding), dim**-0.5, bias)
    finally:
        torch.set_num_threads(threads)
    seen = triangle(queries, keys, causal=causal, window=window, padding=padding)
    close(found, exact(q, k, v, dim**-0.5, seen, bias), dtype)


@LEVELS
@pytest.mark.parametrize("dtype", ERRORS)
def test_sequences_behind_one_another_do_not_see_each_other(level, dtype) -> None:
    made, lengths = torch.Generator().manual_seed(0), [3, 130, 1, 0, 60]
    starts = torch.tensor([0, *lengths]).cumsum(0)
    q, k, v = (heads(1, sum(lengths), count, 32, dtype, made) for count in (4, 2, 2))
    with using(level):
        found = attention(q, k, v, Seen(causal=True, starts=starts), 0.2)
    for first, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        own = [x[:, :, first:end] for x in (q, k, v)]
        seen = triangle(end - first, end - first, causal=True, window=None, padding=None)
        if end > first:
            close(found[:, :, first:end], exact(*own, 0.2, seen), dtype)


@LEVELS
def test_large_scores_do_not_overflow(level) -> None:
    q = torch.full((1, 1, 2, 16), 1e4)
    k = torch.cat((q, -q), 2)
    v = torch.arange(4.0)[None, None, :, None].expand(1, 1, 4, 16).contiguous()
    with using(level):
        found = attention(q, k, v, Seen(), 1.0)
    torch.testing.assert_close(found, torch.full_like(found, 0.5))


class Position:
    """A bias as `Now` asks for it."""

    def __init__(self, bias) -> None:
        self.bias = bias

    def __call__(self, *, exact):
        return self.bias


@LEVELS
@QUICK
@given(st.data())
def test_step(level, data) -> None:
    """Rotated, appended, attended to."""
    draw, dtype = data.draw, data.draw(DTYPES)
    torch.manual_seed(draw(st.integers(0, 99)))
    kv, group = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 9]))
    fused = draw(st.sampled_from([None, "concat", "per_group"] + ["per_head"] * (group == 1)))
    dim, length = draw(st.sampled_from([4, 16, 34, 64, 128])), draw(st.sampled_from([1, 70, 1300]))
    rope = draw(st.sampled_from([None, Rope(), Rope(interleaved=True), Rope(dim=2)]))
    window, batch = draw(st.sampled_from([None, 40])), draw(st.integers(1, 2))
    spec = Attention(kv * group, kv, dim, fused=fused, rope=rope, window=window)
    branch = SelfAttention(spec, 24, Block((spec,), Norm()), 0).eval().to(dtype)
    for weight in branch.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    branch.requires_grad_(False)
    cache = Cache(1)
    past = [torch.randn(batch, kv, length, dim).to(dtype) for _ in "kv"]
    cache.states[0].append(*past, 0)
    cache.length = length
    mask = torch.rand(batch, length + 1) > 0.2 if draw(st.booleans()) else None
    place = torch.tensor([[length]])

    def turns(rope, width, positions, *, exact):
        return tuple(x.float() if exact else x for x in cos_sin(rope, width, place, dtype))

    h, now = torch.randn(batch, 1, 24).to(dtype), Now(turns, Position(None), cache)
    now.begin(None, mask, None)
    q, k, v = branch.project(h)
    if rope is not None:  # rounded once; torch's operations would round three times
        cos, sin = (x.double() for x in cos_sin(rope, dim, place, dtype))
        q, k = (rotate(x.double(), cos, sin, rope.interleaved).to(dtype) for x in (q, k))
    k, v = (torch.cat(pair, 2) for pair in zip(past, (k, v), strict=True))
    seen = triangle(1, length + 1, causal=True, window=window, padding=mask)
    joint = (lambda h: (branch.qkv(h),) * 3) if fused else (
        lambda h: (branch.q(h), branch.k(h), branch.v(h)))
    with using(level):
        step = StepAttention(branch, now, joint, lambda x: x, h)
        now.threads = draw(st.sampled_from([1, 2]))
        found = step(h)
    wanted = exact(q, k, v, dim**-0.5, seen).transpose(1, 2).reshape(batch, 1, -1)
    close(found, wanted, dtype, (spec, length))
    close(cache.states[0].key[:, :, : length + 1], k.double(), dtype)
    assert torch.equal(cache.states[0].value[:, :, : length + 1], v)


@LEVELS
@pytest.mark.parametrize("queries", [1, 5, 40])
def test_what_is_no_number_is_not_hidden(level, queries) -> None:
    """NaN in a query, a key or a value is in the results that come from it, and in no other."""
    for dtype in ERRORS:
        for which in range(3):
            qkv = [torch.randn(1, 2, length, 16).to(dtype)
                   for length in (queries, queries + 3, queries + 3)]
            qkv[which][0, 0, 0, 0] = float("nan")
            with using(level):
                found = attention(*qkv, Seen(causal=True), 0.25)
            assert found[0, 0, 0 if which == 0 else -1].isnan().any()
            assert not found[0, 1].isnan().any()
            assert which or not found[0, 0, 1:].isnan().any()


def test_layouts_are_those_of_the_projections() -> None:
    for fused, group in (("concat", 3), ("per_group", 3), ("per_head", 1), (None, 3)):
        spec = Attention(2 * group, 2, 5, fused=fused)
        branch = SelfAttention(spec, 4, Block((spec,), Norm()), 0)
        h = torch.randn(1, 1, 4)
        q, k, v = branch.project(h)
        parts = (branch.qkv(h),) * 3 if fused else (branch.q(h), branch.k(h), branch.v(h))
        for number in range(2):
            for x, wide, part, (first, step) in zip((q, k, v), (group, 1, 1), parts, layout(spec),
                                                    strict=True):
                start = first + number * step
                found = part.reshape(-1)[start : start + wide * 5].view(wide, 5)
                torch.testing.assert_close(found, x[0, number * wide : (number + 1) * wide, 0])
