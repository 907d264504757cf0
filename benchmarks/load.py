"""Loading a checkpoint from a warm page cache: seconds beyond `import torch`, and memory.

Goal: peak RSS at load at most the checkpoint + 10 %.

Each load is a process of its own. "load s" is all that follows `import torch`: importing the
library, and `from_pretrained`; "first call s" the first forward of 32 tokens after it, which is
where enfold reads mapped weights and packs them for oneDNN. Memory is in MB above what
the process had before the library's import: peak (VmHWM) at load and "x file", the peak over
the checkpoint's size; RSS and Pss (smaps_rollup, which counts a page of the file in part where
processes share it) after the load; peak and RSS after the first call.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import median

from _models import checkpoint
from _report import Row, child, run

MODELS = {"minilm": "AutoModel", "bert-base": "AutoModel", "llama-250m": "AutoModelForCausalLM"}
LIBRARIES = ("transformers", "enfold")
CODE = """
import json, sys, time
import torch
sys.path.insert(0, sys.argv[1])
from _machine import memory
before = memory()
start = time.perf_counter()
library = __import__(sys.argv[2], fromlist=[sys.argv[3]])
model = getattr(library, sys.argv[3]).from_pretrained(sys.argv[4], dtype=torch.float32)
loaded, after = time.perf_counter() - start, memory()
start = time.perf_counter()
with torch.no_grad():
    model.eval()(input_ids=torch.arange(100, 132)[None])
called, used = time.perf_counter() - start, memory()
above = {name: after[name] - before[name] for name in after}
above |= {"used": used["peak"] - before["peak"], "used rss": used["rss"] - before["rss"]}
print(json.dumps({"load": loaded, "call": called, **above}))
"""


def rows(quick: bool) -> list[Row]:
    """A row for each model and library."""
    models = {"minilm": MODELS["minilm"]} if quick else MODELS
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for name in models:
        checkpoint(name)
    for _ in range(1 if quick else 5):
        for name, library in product(models, LIBRARIES):
            found.setdefault((name, library), []).append(load(name, library))
    return [line(*key, runs) for key, runs in found.items()]


def load(name: str, library: str) -> dict[str, float]:
    """Seconds and megabytes of one process."""
    here = Path(__file__).parent
    facts: dict[str, float] = child("-c", CODE, here, library, MODELS[name], checkpoint(name))
    return facts


def line(name: str, library: str, runs: list[dict[str, float]]) -> Row:
    """Medians of the runs."""
    size = sum(file.stat().st_size for file in checkpoint(name).glob("*.safetensors")) / 2**20
    middle = {key: median(run[key] for run in runs) for key in runs[0]}
    return {"model": name, "library": library, "load s": middle["load"],
            "best": min(run["load"] for run in runs), "first call s": middle["call"],
            "file": size, "peak": middle["peak"], "x file": middle["peak"] / size,
            "RSS": middle["rss"], "Pss": middle["pss"], "peak, call": middle["used"],
            "RSS, call": middle["used rss"]}


if __name__ == "__main__":
    run("load", __file__, __doc__, rows)
