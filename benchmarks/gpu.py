"""On a GPU: decoding and reading prompts in bf16, NF4 and int4, beside transformers.

    python benchmarks/gpu.py --docs            needs a CUDA device, and torch's CUDA wheel

A Llama with random weights, batch 1 (llama-1b: 1.1B parameters, 32/4 heads; --model llama-8b: the
sizes of Llama 3.1 8B, made by the first run).  Greedy; a prompt is timed by generating one token, a
token behind it by 128 more, without a streamer, so that a graph's capture is counted in.  "enfold,
no graph" starts each kernel by itself.  transformers decodes as it does by default; NF4 there is
bitsandbytes.  int4 is groups of 128.  What is not installed is named with its reason.
The roof of decoding is the bytes that a token reads (weights, and keys and values of the context)
over the speed of a plain read on the device, that of prompts their products over the speed of one
large product in bf16, both measured in the same run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import _models
from _engines import NF4, TORCHAO
from _lineup import Lineup
from _machine import clock
from _models import checkpoint
from _report import Row, interleaved, run
from inference import SIZES, numbers

CONTEXTS, TOKENS = (8, 512, 2048), 128
NEEDS = ("benchmarks/gpu.py needs a CUDA device, torch sees none. Do: run it on a machine with an "
         "NVIDIA GPU and torch's CUDA wheel (it brings Triton), with transformers, accelerate and "
         "bitsandbytes for the peers; --quick tries a tiny model on the CPU")


def rows(quick: bool, model: str | None = None, only: str | None = None) -> list[Row]:
    """Rows of each format, context and engine."""
    name = "tiny-llama" if quick else model or "llama-1b"
    wanted = ("bf16", "nf4", "int4") if only is None else only.split(",")
    return [row for weights in wanted for row in written(name, weights, quick)]


def written(name: str, weights: str, quick: bool) -> list[Row]:
    """Rows of one format."""
    import torch

    prompt = torch.randint(10, 200, (1, 2048), generator=torch.Generator().manual_seed(0))
    makers: dict[str, Callable[[], Any]] = {
        "enfold": partial(ours, name, weights, quick),
        "enfold, no graph": partial(ours, name, weights, quick, graphs=False)}
    if weights != "int4":
        makers["transformers" + " + bitsandbytes" * (weights == "nf4")] = partial(
            theirs, name, weights)
    engines = Lineup(makers, None, lambda write: write(prompt[:, :8], 4))
    layers, head, cached = numbers(name)
    read, product = speeds(quick)
    found = []
    for length in (8,) if quick else CONTEXTS:
        first, each = clocked(engines.ready, prompt[:, :length], 64 if quick else TOKENS,
                              1 if quick else 5)
        size = (layers * SIZES[weights] + head * 2) + cached * length
        found += lines(weights, f"decode behind {length}", each, lambda s: 1 / s, read / size)
        if length > 8 or quick:
            found += lines(weights, f"prompt of {length}", first, lambda s, n=length: n / s,
                           product / (2 * layers))
    return found + [line(weights, f"failed: {reason}", engine) for engine, reason
                    in engines.failed.items()]


# ---- engines -------------------------------------------------------------------------------------
def ours(name: str, weights: str, quick: bool, *, graphs: bool = True) -> Callable[..., Any]:
    """enfold's generate; without graphs each kernel is started by itself."""
    import torch

    import enfold
    from enfold.generate import session
    from enfold.quant.config import BitsAndBytesConfig
    from enfold.quant.torchao import TorchAoConfig

    form = TORCHAO["int4-tiny" if quick else "int4"]
    configs = {"nf4": lambda: BitsAndBytesConfig(**NF4), "int4": lambda: TorchAoConfig(**form)}
    options = {"quantization_config": configs[weights]()} if weights in configs else {}
    model = enfold.AutoModelForCausalLM.from_pretrained(
        checkpoint(name), dtype=torch.bfloat16, device_map=place(), **options)
    captured = session.captured

    def write(prompt: Any, count: int) -> Any:
        session.captured = captured if graphs else lambda step: step
        try:
            return model.generate(input_ids=prompt, max_new_tokens=count, do_sample=False)
        finally:
            session.captured = captured

    return write


def theirs(name: str, weights: str) -> Callable[..., Any]:
    """transformers' generate."""
    import torch
    import transformers

    config = transformers.BitsAndBytesConfig(**NF4) if weights == "nf4" else None
    model = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint(name), dtype=torch.bfloat16, device_map=place(),
        quantization_config=config).eval()
    return lambda prompt, count: model.generate(
        input_ids=prompt.to(model.device), max_new_tokens=count, do_sample=False,
        attention_mask=torch.ones_like(prompt).to(model.device))


# ---- measuring -----------------------------------------------------------------------------------
def place() -> str:
    """The device."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def seconds(work: Callable[[], Any]) -> float:
    """Seconds until what `work` asks of the device is done."""
    import torch

    wait = torch.cuda.synchronize if place() == "cuda" else int
    wait()
    start = clock()
    work()
    wait()
    return clock() - start


def clocked(writers: dict[str, Any], prompt: Any, count: int,
            repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of reading a prompt, and of each token behind it, by engine, taken in turn."""
    first: dict[str, list[float]] = {engine: [] for engine in writers}
    each: dict[str, list[float]] = {engine: [] for engine in writers}

    def measure(engine: str) -> float:
        one = seconds(lambda: writers[engine](prompt, 1))
        more = seconds(lambda: writers[engine](prompt, 1 + count))
        first[engine].append(one)
        each[engine].append((more - one) / count)
        return more

    interleaved({engine: partial(measure, engine) for engine in writers}, repeats)
    return first, each


def speeds(quick: bool) -> tuple[float, float]:
    """Bytes per second of a plain read, and operations per second of a large product in bf16."""
    import torch

    size, wide = (2**20, 256) if quick else (2**32, 8192)
    big = torch.ones(size // 8, dtype=torch.int64, device=place())
    x = torch.randn(wide, wide, dtype=torch.bfloat16, device=place())
    read = min(seconds(big.sum) for _ in range(10))
    return size / read, 2 * wide**3 / min(seconds(lambda: x @ x) for _ in range(10))


# ---- showing -------------------------------------------------------------------------------------
def lines(case: str, part: str, times: dict[str, list[float]], unit: Callable[[float], float],
          roof: float) -> list[Row]:
    """A row for each engine, in tokens per second."""
    best = {engine: unit(min(spans)) for engine, spans in times.items()}
    peers = [value for engine, value in best.items() if not engine.startswith("enfold")]
    return [line(case, part, engine, median=unit(median(times[engine])), best=value, roof=roof,
                 share=value / roof * 100, over=value / max(peers) if peers else "")
            for engine, value in best.items()]


def line(case: str, part: str, engine: str, median: Any = "", best: Any = "", roof: Any = "",
         share: Any = "", over: Any = "") -> Row:
    """A row; what was not measured is empty."""
    import torch

    device = torch.cuda.get_device_name() if place() == "cuda" else "CPU"
    return {"device": device, "case": case, "part": part, "engine": engine, "median": median,
            "best": best, "roof": roof, "% of roof": share, "over transformers": over}


def llama_8b() -> Any:
    """The sizes of Llama 3.1 8B, in bf16: 16 GB."""
    import torch

    torch.set_default_dtype(torch.bfloat16)
    try:
        return _models.llama(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32,
                             num_key_value_heads=8, intermediate_size=14336, vocab_size=128256,
                             max_position_embeddings=8192, dtype="bfloat16")
    finally:
        torch.set_default_dtype(torch.float32)


_models.RECIPES["llama-8b"] = llama_8b
if __name__ == "__main__":
    if place() == "cpu" and not {"--quick", "--help", "-h"} & set(sys.argv):
        raise SystemExit(NEEDS)
    run("gpu", __file__, __doc__, rows, peers=("torch", "transformers"),
        options={"model": {"help": "llama-1b (the default) or llama-8b"},
                 "only": {"help": "formats, by comma: bf16, nf4, int4"}})
