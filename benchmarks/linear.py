"""Linear products, one thread: torch's F.linear, oneDNN with a packed copy, and our kernels.

Weights are taken in turn from 150 MB of them, so that they come from memory as they do in a model.
The roof of a case is the longer of reading its weights at the speed of plain reads and computing
at the speed of torch's largest products.  oneDNN's packed copy doubles the memory of the weights;
for int8 theirs is torch._int_mm, which leaves out quantizing the activations and scales.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import torch
from _machine import bandwidth, products
from _report import Row, interleaved, run, timed, versus
from torch import Tensor
from torch.nn import functional as F

from enfold.nn.native.int8 import int8_linear
from enfold.nn.native.linear import linear

SIZES = {"Llama 1.1B q, o": (2048, 2048), "k, v": (256, 2048), "gate, up": (5632, 2048),
         "down": (2048, 5632), "head": (32000, 2048), "BERT-base up": (3072, 768),
         "MiniLM up": (1536, 384)}
COUNTS = (1, 4, 16, 128, 1024)
MEGABYTES = 150
LARGEST = 2**35  # products: the head of 1,024 rows would take a second each
Work = Callable[[], object]


@torch.inference_mode()
def rows(quick: bool) -> list[Row]:
    """A row for each dtype, size and number of rows."""
    found: list[Row] = []
    for dtype in (torch.bfloat16, torch.float32, torch.int8):
        speed = bandwidth(dtype, 32 if quick else 768)
        peak = 0.0 if dtype == torch.int8 else products(dtype, 256 if quick else 2048)
        for name, (out, width) in list(SIZES.items())[: 1 if quick else None]:
            weights = made(dtype, out, width, 1 if quick else MEGABYTES)
            for count in COUNTS[: 2 if quick else None]:
                if count * out * width > LARGEST:
                    continue
                ways = contenders(torch.randn(count, width), weights)
                times = interleaved({way: timed(work) for way, work in ways.items()},
                                    3 if quick else 15 if count < 1024 else 5)
                roof = max(weights[0].nbytes / speed,
                           2 * count * out * width / peak if peak else 0)
                found.append({"weight": name, "dtype": str(dtype).removeprefix("torch."),
                              "rows": count, **versus(times["theirs"], times["ours"], us),
                              "packed": us(min(times["packed"])) if "packed" in times else "",
                              "roof us": us(roof),
                              "% of roof": 100 * roof / min(times["ours"])})
    return found


def us(seconds: float) -> float:
    """Microseconds."""
    return seconds * 1e6


def made(dtype: torch.dtype, out: int, width: int, megabytes: int) -> list[Tensor]:
    """Different weights of one size."""
    count = max(2, min(32, (megabytes << 20) // (out * width * dtype.itemsize)))
    if dtype == torch.int8:
        return [torch.randint(-127, 128, (out, width), dtype=dtype) for _ in range(count)]
    return [torch.randn(out, width).to(dtype) for _ in range(count)]


def contenders(x: Tensor, weights: list[Tensor]) -> dict[str, Work]:
    """What is compared, each with its own way through the weights."""
    turns = [cycle(weights) for _ in range(2)]
    if weights[0].dtype == torch.int8:
        q, scales = x.clamp(-4, 4).mul(30).to(torch.int8), torch.rand(weights[0].shape[0])
        rounded = x.to(torch.bfloat16)
        return {"theirs": lambda: torch._int_mm(q, next(turns[0]).t()),
                "ours": lambda: int8_linear(rounded, next(turns[1]), scales)}
    x = x.to(weights[0].dtype)
    packed = cycle([torch.ops.mkldnn._reorder_linear_weight(each, None) for each in weights])
    return {"theirs": lambda: F.linear(x, next(turns[0])),
            "packed": lambda: torch.ops.mkldnn._linear_pointwise(x, next(packed), None, "none", [],
                                                                 ""),
            "ours": lambda: linear(x, next(turns[1]), None)}


if __name__ == "__main__":
    run("linear", __file__, __doc__, rows)
