"""Numbers to GGUF's simple block formats, bit for bit as ggml's reference does it.

    float [.., N] -> uint8 [.., N / 32 * bytes of a block];  a block: a half-precision scale, then
    Q8_0  32 signed bytes, largest magnitude 127
    Q4_0  16 bytes of two numbers 0 to 15, 8 less than they say; the largest magnitude is -8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from enfold.errors import CheckpointError
from enfold.files.gguf.blocks import AT_ONCE
from enfold.files.gguf.kinds import Kind

if TYPE_CHECKING:
    from torch import Tensor


def quantize(values: Tensor, kind: Kind) -> Tensor:
    """Blocks of a tensor whose rows are a multiple of the block: uint8 [.., bytes of a row].

    A piece at a time: beside the result, a few MB are needed.
    """
    import torch

    if kind.name not in FORMATS:
        raise NotImplementedError(f"numbers can't be quantized to {kind.name}. Expected one of "
                                  f"{', '.join(FORMATS)}")
    if values.shape[-1] % kind.block:
        raise CheckpointError(f"a tensor of shape {list(values.shape)} can't be {kind.name}: "
                              f"expected rows of a multiple of {kind.block}. Do: store it as F16")
    rows = values.detach().cpu().reshape(-1, kind.block)
    out = torch.empty(len(rows), kind.size, dtype=torch.uint8)
    step = AT_ONCE // kind.block
    for start in range(0, len(rows), step):
        piece = rows[start:start + step].float()
        if not bool(piece.isfinite().all()):
            raise CheckpointError(f"a tensor of shape {list(values.shape)} holds values that are "
                                  f"not finite: it can't be {kind.name}. Do: check the weights")
        out[start:start + step] = FORMATS[kind.name](piece)
    return out.view(*values.shape[:-1], -1)


def q8_0(rows: Tensor) -> Tensor:
    """Blocks [B, 34] of rows [B, 32]."""
    import torch

    scale = rows.abs().amax(1, keepdim=True) / 127
    scaled = rows * _inverse(scale)
    whole = scaled.abs().floor()
    rounded = (whole + (2 * (scaled.abs() - whole)).floor()).copysign(scaled)  # halves go outward
    return torch.cat([_bytes(scale), rounded.to(torch.int8).view(torch.uint8)], 1)


def q4_0(rows: Tensor) -> Tensor:
    """Blocks [B, 18] of rows [B, 32]."""
    import torch

    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    scale = largest / -8
    number = (rows * _inverse(scale) + 8.5).trunc().clamp(0, 15).to(torch.uint8)
    return torch.cat([_bytes(scale), number[:, :16] | (number[:, 16:] << 4)], 1)


def _inverse(scale: Tensor) -> Tensor:
    import torch

    return torch.where(scale == 0, 0.0, 1 / scale)


def _bytes(scale: Tensor) -> Tensor:
    import torch

    return scale.half().view(torch.uint8)


FORMATS: dict[str, Callable[[Tensor], Tensor]] = {"Q8_0": q8_0, "Q4_0": q4_0}
