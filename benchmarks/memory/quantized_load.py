"""A random Llama-2-7B in fp16 shards (13.5 GB), loaded in NF4: seconds, peak memory, first token.

    python benchmarks/memory/quantized_load.py /tmp/7b   make it if absent, then load it
    python benchmarks/memory/quantized_load.py /tmp/7b --peer       the same with transformers

Goals on 2 cores, the files in the page cache: 45 s, 4.6 GB of peak RSS (pages of mapped files
counted), the first token in 3 s more, 8 tokens/s.  CPU seconds are given beside, since they say
more on a busy machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH, INNER, LAYERS, WORDS = 4096, 11008, 32, 32000
SHARDS = 3
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": WORDS,
          "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
          "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
          "rms_norm_eps": 1e-5, "hidden_act": "silu", "torch_dtype": "float16",
          "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}


class Pool:
    """Numbers to fill tensors with: drawn once, then taken from changing places."""

    def __init__(self, count: int = 60_000_011) -> None:
        import torch

        self.numbers, self.at = (torch.randn(count) * 0.02).half(), 0

    def take(self, *shape: int) -> Any:
        import math

        import torch

        left, parts = math.prod(shape), []
        while left:
            size = min(left, len(self.numbers) - self.at)
            parts.append(self.numbers[self.at : self.at + size])
            self.at, left = (self.at + size) % len(self.numbers), left - size
        return torch.cat(parts).view(*shape)


def make(folder: Path) -> None:
    """Write the checkpoint, a shard at a time."""
    import torch

    from enfold.files import write_json
    from enfold.files.safetensors import write_safetensors

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    pool, homes, total = Pool(), {}, 0
    for shard in range(SHARDS):
        name = f"model-{shard + 1:05d}-of-{SHARDS:05d}.safetensors"
        tensors = dict(_tensors(pool, shard))
        write_safetensors(folder / name, tensors, {"format": "pt"})
        homes |= dict.fromkeys(tensors, name)
        total += sum(tensor.nbytes for tensor in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": homes})
    write_json(folder / "config.json", CONFIG)


def _tensors(pool: Pool, shard: int) -> Iterator[tuple[str, Any]]:
    import torch

    ones = torch.ones(WIDTH, dtype=torch.float16)
    if shard == 0:
        yield "model.embed_tokens.weight", pool.take(WORDS, WIDTH)
    for layer in range(LAYERS * shard // SHARDS, LAYERS * (shard + 1) // SHARDS):
        stem = f"model.layers.{layer}"
        for name in "qkvo":
            yield f"{stem}.self_attn.{name}_proj.weight", pool.take(WIDTH, WIDTH)
        for name, shape in (("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)),
                            ("down", (WIDTH, INNER))):
            yield f"{stem}.mlp.{name}_proj.weight", pool.take(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{stem}.{name}.weight", ones.clone()
    if shard == SHARDS - 1:
        yield "model.norm.weight", ones.clone()
        yield "lm_head.weight", pool.take(WORDS, WIDTH)


def measure(folder: Path, peer: bool) -> None:
    """Load and generate, and print what it took."""
    import torch

    if peer:
        import transformers as library
    else:
        import enfold as library  # type: ignore[no-redef]
    options = library.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                         bnb_4bit_compute_dtype=torch.bfloat16)
    clock = Stopwatch()
    model = library.AutoModelForCausalLM.from_pretrained(folder, quantization_config=options)
    clock.show("load")
    ids = torch.arange(3, 11)[None]
    model.generate(ids, max_new_tokens=1, do_sample=False)
    clock.show("first token")
    start = time.perf_counter()
    model.generate(ids, max_new_tokens=1, do_sample=False)
    first = time.perf_counter() - start
    clock.show("prompt of 8 again")
    start = time.perf_counter()
    model.generate(ids, max_new_tokens=17, min_new_tokens=17, do_sample=False)
    clock.show("17 tokens")
    print(f"decode: {16 / (time.perf_counter() - start - first):.2f} tokens/s")


class Stopwatch:
    """Seconds and CPU seconds since the last line, and the peak of memory so far."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def show(self, what: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9
        print(f"{what}: {wall - self.wall:.1f} s, {cpu - self.cpu:.1f} s of CPU, "
              f"peak {peak:.2f} GB", flush=True)
        self.wall, self.cpu = time.perf_counter(), time.process_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", action="store_true", help="transformers and bitsandbytes")
    args = parser.parse_args()
    if not (args.folder / "config.json").exists():
        make(args.folder)
    measure(args.folder, args.peer)


if __name__ == "__main__":
    main()
