"""Inference at the machine's limit: decoding, reading a prompt, encoders, beside other engines.

    PYTHONPATH=PEERS python benchmarks/inference.py --threads 1 --only int8,int4,nf4,bert-int8

A Llama of 1.1B parameters with 32/4 heads and random weights, batch 1, in bf16, int8, int4 and NF4;
BERT-base on 8 texts of 128 tokens.  Every engine that is installed runs in turn in one process, and
one that fails is named with its reason.  Files of other engines are made by the first run (minutes,
several GB) and kept.  int4 is groups of 128 with zeros (enfold, OpenVINO) and Q4_0, groups of 32
(llama.cpp, and enfold on the same file); heads are bf16 in enfold and bitsandbytes, in 8 bits in
the others' files, so enfold runs with such a head ("enfold int8 head") and on the files of
llama.cpp ("enfold gguf") too.
The roof of decoding is the bytes that a token reads (weights, and keys and values of the context)
over the speed of a plain read, the roof of prompts and encoders their products over the speed of
one large product, both measured in the same run.  tok/s, or ms for encoders; "% of roof" is of the
best time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from subprocess import CalledProcessError
from typing import Any

import _engines
from _lineup import Lineup, readers_of, writers_of
from _machine import bandwidth, products
from _models import checkpoint
from _report import Row, child, interleaved, run, timed

LLAMA = "llama-1b"
GOALS_OF_LOADING = {"seconds": 2.0, "share": 1.1}  # stand as roofs
SIZES = {"bf16": 2.0, "int8": 1.0, "int4": 0.53, "nf4": 0.56}  # bytes of a weight
GOALS = {("bf16", "decode 8"): 1.0, ("bf16", "prefill 128"): 1.2, ("int8", "decode 8"): 1.15,
         ("int8", "prefill 128"): 1.4, ("int4", "decode 8"): 1.2, ("int4", "prefill 128"): 1.1,
         ("nf4", "decode 8"): 1.5, ("BERT-base", "float32 8x128"): 1.0,
         ("BERT-base", "bfloat16 8x128"): 1.0, ("BERT-base", "int8 8x128"): 1.0}


SHORT = {8: 12, 128: 8}  # length of context: tokens
LONG = {2048: 6}


def rows(quick: bool, only: str | None = None, engines: str | None = None) -> list[Row]:
    """Rows of each case: every engine, its share of the roof, our speed over the best peer's."""
    kept = None if engines is None else set(engines.split(","))
    cases = {**{weights: partial(writing, weights, quick, kept) for weights in
                ("bf16", "int8", "int4", "nf4")},
             **{f"bert-{dtype}": partial(reading, dtype, quick, kept)
                for dtype in ("float32", "bfloat16", "int8")},
             "load": partial(loading, quick)}
    wanted = [name for name in cases if only is None or name in only.split(",")]
    if len(wanted) == 1:
        return cases[wanted[0]]()
    return [row for name in wanted for row in alone(name, quick, engines)]


def alone(case: str, quick: bool, engines: str | None) -> list[Row]:
    """The rows of a case from a process of its own: an engine may end it."""
    flags = ["--quick"] * quick + ([] if engines is None else [f"--engines={engines}"])
    try:
        found: list[Row] = child(__file__, "--child", f"--only={case}", *flags,
                                 threads=_engines.THREADS)
    except CalledProcessError as error:
        print(f"{case}: the process ended with {error.returncode}", file=sys.stderr)
        return without(case, {"?": f"the process ended with {error.returncode}"})
    return found


def writing(weights: str, quick: bool, kept: set[str] | None) -> list[Row]:
    """Prefill and decode of one format at several lengths of context."""
    import torch

    name = "tiny-llama" if quick else LLAMA
    lengths = {8: 4} if quick else SHORT | (LONG if weights == "bf16" else {})
    prompt = torch.randint(10, 200, (2048,), generator=torch.Generator().manual_seed(0)).tolist()
    # tried first, for what is done once: choices, repacked weights
    engines = Lineup(writers_of(name, weights, quick), kept, lambda one: one.write(prompt[:8], 3))
    found: list[Row] = []
    for length, count in lengths.items():
        prefill, decode = clocked(engines.ready, prompt[:length], count,
                                  1 if quick or length > 1000 else 3)
        layers, head, cached = numbers(name)
        read = (layers + head) * SIZES[weights] + cached * length
        if length > 8 or quick:
            kind = torch.int8 if weights == "int8" else torch.bfloat16
            roof = peak(kind, quick) / (2 * layers)
            found += lines(weights, f"prefill {length}", prefill, lambda s, n=length: n / s, roof)
        roof = reads(quick) / read
        found += lines(weights, f"decode {length}", decode, lambda seconds: 1 / seconds, roof)
    return found + without(weights, engines.failed)


def clocked(writers: dict[str, Any], prompt: list[int], count: int,
            repeats: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of reading a prompt and of each token behind it, by engine, taken in turn."""
    prefill: dict[str, list[float]] = {engine: [] for engine in writers}
    decode: dict[str, list[float]] = {engine: [] for engine in writers}

    def measure(engine: str) -> float:
        first, each = writers[engine].write(prompt, count)
        prefill[engine].append(first)
        decode[engine] += each[1:]
        return first

    interleaved({engine: lambda e=engine: measure(e) for engine in writers}, repeats)
    return prefill, decode


def numbers(name: str) -> tuple[int, int, int]:
    """Weights of the layers, of the head, and bytes of a cached position in bf16."""
    from enfold import AutoConfig

    c = AutoConfig.from_pretrained(checkpoint(name))
    kv = c.hidden_size // c.num_attention_heads * c.num_key_value_heads
    layer = 2 * c.hidden_size * (c.hidden_size + kv) + 3 * c.hidden_size * c.intermediate_size
    return (c.num_hidden_layers * layer, c.hidden_size * c.vocab_size,
            4 * c.num_hidden_layers * kv)


def reading(dtype: str, quick: bool, kept: set[str] | None) -> list[Row]:
    """BERT-base on 8 texts of 128 tokens."""
    import torch

    ids = torch.randint(1000, 20000, (1, 8) if quick else (8, 128))
    name = "minilm" if quick else "bert-base"
    engines = Lineup(readers_of(name, dtype, quick), kept, lambda read: read(ids))
    seconds = interleaved({engine: timed(partial(read, ids))
                           for engine, read in engines.ready.items()}, 1 if quick else 6, warm=1)
    work = 2 * ids.numel() * 12 * 12 * 768**2 + 4 * ids.numel() * ids.shape[1] * 12 * 768
    roof = work / peak(getattr(torch, dtype), quick) * 1e3
    return lines("BERT-base", f"{dtype} 8x128", seconds, lambda s: s * 1e3, roof,
                 less=True) + without("BERT-base", engines.failed)


def loading(quick: bool) -> list[Row]:
    """Seconds to the first token, and the peak of memory over the file, each in a process."""
    name = "tiny-llama" if quick else LLAMA
    checkpoint(name)
    found = [child(_engines.__file__, "load", name) for _ in range(1 if quick else 2)]
    return [row for part, unit in (("load to first token, s", "seconds"),
                                   ("load, peak / file", "share"))
            for row in lines("bf16", part, {"enfold": [f[unit] for f in found]}, float,
                             GOALS_OF_LOADING[unit], less=True)]


def without(case: str, failed: dict[str, str]) -> list[Row]:
    """A row for each engine that failed."""
    return [{"case": case, "part": f"failed: {reason}", "engine": name, "median": "", "best": "",
             "roof": "", "% of roof": "", "over best peer": "", "goal": ""}
            for name, reason in failed.items()]


_peaks: dict[Any, float] = {}


def peak(dtype: Any, quick: bool) -> float:
    """Operations per second of a large product; int8 counts as twice bf16."""
    import torch

    if dtype == torch.int8:
        return 2 * peak(torch.bfloat16, quick)
    if dtype not in _peaks:
        _peaks[dtype] = products(dtype, 16 if quick else 1024)
    return _peaks[dtype]


def reads(quick: bool) -> float:
    """Bytes per second of a plain read, measured again for each case: the load changes."""
    import torch

    return bandwidth(torch.bfloat16, 16 if quick else 512)


def lines(case: str, part: str, times: dict[str, list[float]], unit: Callable[[float], float],
          roof: float, *, less: bool = False) -> list[Row]:
    """A row for each engine; less: small numbers are better."""
    found = {name: (unit(median(seconds)), unit(min(seconds)))
             for name, seconds in times.items() if seconds}
    others = [best for name, (_, best) in found.items() if not name.startswith("enfold")]
    top = (min(others) if less else max(others)) if others else None
    table = []
    for name, (middle, best) in found.items():
        share = roof / best if less else best / roof
        over = ("" if not name.startswith("enfold") or top is None
                else top / best if less else best / top)
        goal = GOALS.get((case, part), "") if name.startswith("enfold") else ""
        table.append({"case": case, "part": part, "engine": name, "median": middle, "best": best,
                      "roof": roof, "% of roof": share * 100, "over best peer": over,
                      "goal": goal})
    return table


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    run("inference", __file__, __doc__, rows, threads=(1, 2),
        options={"only": {"help": "cases, by comma: bf16, int8, int4, nf4, bert-float32, "
                                  "bert-bfloat16, bert-int8, load"},
                 "engines": {"help": "engines, by comma: enfold, bitsandbytes, llama.cpp, ..."}})
