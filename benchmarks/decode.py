"""A Llama of 250M parameters, batch 1: tokens per second of reading a prompt and of writing.

Goals: prefill 1.8x in fp32 and 1.1x in bf16, decode 1.5x in both.

One `generate` of 64 tokens: a streamer's clock says when the first token came (prefill: the prompt
divided by that) and how long the others took (decode, after 128 tokens). The roof of decode is the
weights that a token reads over the bandwidth of a plain read, the roof of prefill the layers'
products over the speed of one large product, both measured before and after in the same run.
"""

from __future__ import annotations

from typing import Any

from _machine import bandwidth, clock, products
from _models import checkpoint
from _report import Row, interleaved, run, versus

GOALS = {("float32", "prefill"): 1.8, ("bfloat16", "prefill"): 1.1,
         ("float32", "decode"): 1.5, ("bfloat16", "decode"): 1.5}
PROMPTS, TOKENS = (128, 512), 64


class Clock:
    """A streamer that notes when tokens come: first the prompt, then one after the other."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(clock())

    def end(self) -> None:
        """Nothing is left to show."""


def rows(quick: bool) -> list[Row]:
    """Rows of both dtypes: prefill of each prompt, decode."""
    import torch

    name = "tiny-llama" if quick else "llama-250m"
    return [row for dtype in (torch.float32, torch.bfloat16)
            for row in dtype_rows(name, dtype, quick)]


def dtype_rows(name: str, dtype: Any, quick: bool) -> list[Row]:
    """All rows of one dtype."""
    import transformers

    import enfold

    models = {library.__name__: library.AutoModelForCausalLM.from_pretrained(
        checkpoint(name), dtype=dtype).eval() for library in (transformers, enfold)}
    before = roofs(models["transformers"], dtype, quick)
    times = {length: clocked(models, length, quick) for length in PROMPTS}
    prefill, decode = map(max, zip(before, roofs(models["enfold"], dtype, quick), strict=True))
    kind, short = str(dtype).removeprefix("torch."), PROMPTS[0]
    return [*(line(kind, "prefill", length, times[length]["prefill"], length, prefill)
              for length in PROMPTS),
            line(kind, "decode", short, times[short]["decode"], 1, decode)]


def roofs(model: Any, dtype: Any, quick: bool) -> tuple[float, float]:
    """Tokens per second that the machine allows: reading a prompt, writing."""
    layers = sum(weight.numel() for weight in model.model.layers.parameters())
    read = (layers + model.lm_head.weight.numel()) * dtype.itemsize
    sizes = ((256,), (16,)) if quick else ((), ())
    return products(dtype, *sizes[0]) / (2 * layers), bandwidth(dtype, *sizes[1]) / read


def clocked(models: dict[str, Any], length: int, quick: bool) -> dict[str, dict[str, list[float]]]:
    """Seconds of prefills and of a decoded token, by library."""
    import torch

    prompt = torch.randint(10, 200, (1, length), generator=torch.Generator().manual_seed(length))
    tokens = TOKENS if length == PROMPTS[0] else 2
    found: dict[str, dict[str, list[float]]] = {
        part: {name: [] for name in models} for part in ("prefill", "decode")}

    def measure(name: str) -> float:
        times = Clock()
        models[name].generate(input_ids=prompt, max_new_tokens=tokens, do_sample=False,
                              streamer=times)
        start, first, *_, last = times.times
        found["prefill"][name].append(first - start)
        found["decode"][name].append((last - first) / (tokens - 1))
        return last - start

    repeats, warm = (1, 1) if quick else (7, 1)
    interleaved({name: lambda name=name: measure(name) for name in models}, repeats, warm)
    return {part: {name: seconds[warm:] for name, seconds in times.items()}
            for part, times in found.items()}


def line(kind: str, part: str, length: int, times: dict[str, list[float]], tokens: int,
         roof: float) -> Row:
    """Tokens per second of both libraries, and each one's share of the roof."""
    row = versus(times["transformers"], times["enfold"], lambda seconds: tokens / seconds,
                 GOALS[kind, part])
    return {"dtype": kind, "part": part, "prompt": length, **row, "roof": roof,
            "their % of it": row["their best"] / roof * 100, "our %": row["our best"] / roof * 100}


if __name__ == "__main__":
    run("decode", __file__, __doc__, rows, threads=(1, 2))
