"""GGUF files against llama.cpp: logits of a trained model in each type, loaded by both.

    PYTHONPATH=... python benchmarks/peers/gguf.py [--model FOLDER] [--text TEXT]

The model (default: stories260K of the shared data, or the folder of a Llama) is written by enfold
in every type, and read back by enfold and by llama.cpp (llama-cpp-python, cache in F32).
llama.cpp's kernels round what goes into a product to F16, BF16 or blocks of Q8_0, by the type of
the weight.  So the same weights are also given to it as F32, where it rounds nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold import AutoModelForCausalLM, AutoTokenizer
from enfold.model.gguf import save_gguf
from enfold.weights.convert_llama2c import convert_llama2c

STORIES = Path(__file__).parents[2] / "shared" / "data" / "models" / "stories260K"
TEXT = ("Once upon a time, there was a little girl named Lily. She liked to play with her big red "
        "ball in the park. One day, she saw a dog who was very sad.")
KINDS = ("f32", "f16", "bf16", "q8_0", "q4_0")


def main() -> None:
    """Print a line for each type."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--text", default=TEXT)
    args = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = args.model or stories(Path(scratch) / "stories260K")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        ids = tokenizer(args.text)["input_ids"]
        original = logits(model, ids)
        print(f"{len(ids)} tokens, logits up to {original.abs().max():.1f}; largest difference of "
              "logits")
        print(f"{'type':<6}{'bytes':>12}  {'ours/its F32':>12}  {'ours/its':>10}  "
              f"{'its F32/its':>14}  {'ours/original':>13}  {'best equal':>10}  {'nats/token':>10}")
        for kind in KINDS:
            row(kind, Path(scratch), model, tokenizer, ids, original)


def row(kind: str, folder: Path, model: Any, tokenizer: Any, ids: list[int],
        original: Tensor) -> None:
    """Write, read twice, compare."""
    path, plain = folder / f"{kind}.gguf", folder / "plain.gguf"
    save_gguf(model, path, tokenizer, kind=kind)
    ours = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    save_gguf(ours, plain, tokenizer, kind="f32")
    found, theirs, exact = logits(ours, ids), llama(path, ids), llama(plain, ids)
    nats = torch.nn.functional.cross_entropy(found[:-1], torch.tensor(ids[1:]))
    equal = float((found.argmax(-1) == theirs.argmax(-1)).float().mean())
    print(f"{kind:<6}{path.stat().st_size:>12,}  {gap(found, exact):>12.2g}  "
          f"{gap(found, theirs):>10.2g}  {gap(exact, theirs):>14.2g}  "
          f"{gap(found, original):>13.2g}  {equal:>10.0%}  {nats:>10.4f}", flush=True)


def gap(one: Tensor, other: Tensor) -> float:
    """The largest difference."""
    return float((one - other).abs().max())


def logits(model: Any, ids: list[int]) -> Tensor:
    """[T, V]."""
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def llama(path: Path, ids: list[int]) -> Tensor:
    """llama.cpp's logits [T, V]."""
    import llama_cpp

    model = llama_cpp.Llama(str(path), logits_all=True, n_ctx=len(ids) + 8, verbose=False,
                            n_threads=1, type_k=0, type_v=0)
    model.eval(ids)
    found = torch.tensor(np.array(model.scores[: len(ids)]))
    model.close()
    return found


def stories(folder: Path) -> Path:
    """The trained model of 260,000 parameters as a folder."""
    convert_llama2c(STORIES / "stories260K.bin", STORIES / "tok512.model", folder)
    return folder


if __name__ == "__main__":
    main()
