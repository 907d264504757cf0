"""The Triton programs of `four`: weights of four bits, two numbers in a byte.

    TABLE    the upper half comes first, and is an index of 16 `values` (NF4, FP4)
    else     the lower half comes first, and is an integer: a group's zero is taken off, or 8

A number's scale is that of its group of `size` inputs.  RUN inputs, a power of two that divides
`size`, share one: they are an axis of a tile, so that it is read once for them.

O out, I in, M rows of the input
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,import-not-found,misc"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def numbers(packed, values, at, inside, zero, TABLE: tl.constexpr):  # noqa: N803
    """The two numbers, before their scale, of each byte at `at`; fp32."""
    byte = tl.load(packed + at, mask=inside, other=0).to(tl.int32)
    if TABLE:
        first, second = tl.load(values + (byte >> 4)), tl.load(values + (byte & 15))
    else:
        first, second = (byte & 15).to(tl.float32) - zero, (byte >> 4).to(tl.float32) - zero
    return first, second


@triton.jit
def shifts(zeros, at, inside, ZEROS: tl.constexpr):  # noqa: N803
    """What is taken off the integers of the groups at `at`; fp32."""
    if ZEROS:
        zero = tl.load(zeros + at, mask=inside, other=0).to(tl.float32)
    else:
        zero = tl.full(at.shape, 8.0, tl.float32)
    return zero


@triton.jit
def scaling(scales, steps, outer, nest, offset, at, inside, NESTED: tl.constexpr):  # noqa: N803
    """The scales of the groups at `at`, fp32; nested: indices of 256 `steps`, times one of `outer`
    for `nest` of them, plus `offset`.
    """
    scale = tl.load(scales + at, mask=inside, other=0)
    if NESTED:
        wide = tl.load(outer + at // nest, mask=inside, other=0)
        scale = tl.load(steps + scale.to(tl.int32)) * wide + offset
    return scale.to(tl.float32)


@triton.jit
def decode(packed, scales, zeros, values, out, start, count, size, TABLE: tl.constexpr,  # noqa: N803
           ZEROS: tl.constexpr, PAIRS: tl.constexpr):  # noqa: N803
    """out[0 .. count) are the numbers from `start` on, an even one, counted row by row."""
    first_pair = tl.program_id(0).to(tl.int64) * PAIRS
    pair = first_pair + tl.arange(0, PAIRS)
    byte, inside = start // 2 + pair, 2 * pair < count
    group = 2 * byte // size
    zero = shifts(zeros, group, inside, ZEROS)
    first, second = numbers(packed, values, byte, inside, zero, TABLE)
    scale = tl.load(scales + group, mask=inside, other=0).to(tl.float32)
    both = tl.interleave(first * scale, second * scale)
    at = 2 * first_pair + tl.arange(0, 2 * PAIRS)
    tl.store(out + at, both.to(out.dtype.element_ty), mask=at < count)


@triton.jit
def tile(packed, scales, zeros, values, steps, outer, nest, offset, row, run, outputs, inputs,
         size, TABLE: tl.constexpr, ZEROS: tl.constexpr, NESTED: tl.constexpr,  # noqa: N803
         RUN: tl.constexpr):  # noqa: N803
    """The numbers at even and at odd inputs of rows and runs of them, [O, runs, RUN / 2] each, and
    their scales [O, runs, 1].
    """
    row = row.to(tl.int64)[:, None]
    inside = (row < outputs) & (run * RUN < inputs)[None, :]
    at = row * (inputs // size) + (run * RUN // size)[None, :]
    scale = scaling(scales, steps, outer, nest, offset, at, inside, NESTED)[:, :, None]
    zero = shifts(zeros, at, inside, ZEROS)[:, :, None]
    byte = (row * (inputs // 2) + (run * (RUN // 2))[None, :])[:, :, None]
    byte += tl.arange(0, RUN // 2)[None, None, :]
    even, odd = numbers(packed, values, byte, inside[:, :, None], zero, TABLE)
    return even, odd, scale


@triton.jit
def product(x, packed, scales, zeros, values, steps, outer, bias, out, nest, offset, outputs,
            inputs, size, rows, TABLE: tl.constexpr, ZEROS: tl.constexpr,  # noqa: N803
            NESTED: tl.constexpr, BIAS: tl.constexpr, RUN: tl.constexpr,  # noqa: N803
            RUNS: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr):  # noqa: N803
    """out [M, O] of x [M, I], in fp32: a program gives OUTPUTS of them; ROWS is M rounded up."""
    row, m = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    total = tl.zeros([ROWS, OUTPUTS, RUNS, RUN // 2], tl.float32)
    for begin in range(0, inputs // RUN, RUNS):
        run = begin + tl.arange(0, RUNS)
        even, odd, scale = tile(packed, scales, zeros, values, steps, outer, nest, offset, row,
                                run, outputs, inputs, size, TABLE, ZEROS, NESTED, RUN)
        at = begin * RUN + tl.arange(0, RUNS * RUN)[None, :]
        inside = (m < rows)[:, None] & (at < inputs)
        both = tl.load(x + m[:, None] * inputs + at, mask=inside, other=0).to(tl.float32)
        left, right = tl.split(tl.reshape(both, [ROWS, 1, RUNS, RUN // 2, 2]))
        total += (even[None] * left + odd[None] * right) * scale[None]
    y = tl.sum(tl.sum(total, 3), 2)
    if BIAS:
        y += tl.load(bias + row, mask=row < outputs, other=0).to(tl.float32)[None, :]
    at = m[:, None] * outputs + row[None, :]
    inside = (m < rows)[:, None] & (row < outputs)[None, :]
    tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)
