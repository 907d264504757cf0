"""Tiny models by transformers, saved, and the same models by enfold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from enfold import AutoModelForCausalLM, AutoModelForSeq2SeqLM

VOCAB = 41
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TINY: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, **IDS)),
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(
        vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=2, n_positions=64, **IDS)),
    "marian": lambda: hf.MarianMTModel(hf.MarianConfig(
        vocab_size=VOCAB, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
        max_position_embeddings=64, decoder_start_token_id=0, forced_eos_token_id=2, **IDS)),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(
        vocab_size=VOCAB, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        decoder_start_token_id=0, **IDS)),
}
DECODERS = ("llama", "gpt2")
SEQ2SEQ = ("marian", "t5")


# scale of the matrices, of the embeddings, seed: what makes varied texts, some of which end
RANDOM = {
    "llama": (1.0, 0.3, 2),
    "gpt2": (0.6, 0.3, 2),
    "marian": (0.3, 1.0, 3),
    "t5": (0.6, 1.0, 8),
}


def perturbed(family: str) -> Any:
    """A tiny model with every parameter random."""
    matrix, table, seed = RANDOM[family]
    torch.manual_seed(seed)
    model = TINY[family]()
    for name, parameter in model.named_parameters():
        if "embed_positions" in name:
            continue  # sinusoids are computed, not read
        scale = 0.1 if parameter.dim() == 1 else table if parameter.shape[0] == VOCAB else matrix
        parameter.data.add_(torch.randn(parameter.shape) * scale)
    for name, buffer in model.named_buffers():
        if name == "final_logits_bias":
            buffer.normal_(std=0.3)
    return model.eval()


class Pair:
    """The same model twice: `hf` the reference, `ours` loaded from what it saved to `folder`."""

    def __init__(self, family: str, folder: Path) -> None:
        self.hf = perturbed(family)
        self.hf.save_pretrained(folder)
        auto = AutoModelForSeq2SeqLM if family in SEQ2SEQ else AutoModelForCausalLM
        self.ours = auto.from_pretrained(folder)

    def both(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """What both generate, ours first."""
        return self.ours.generate(*args, **kwargs), self.hf.generate(*args, **kwargs)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    return {family: Pair(family, tmp_path_factory.mktemp(family)) for family in TINY}


def prompts(batch: int = 3, length: int = 7, seed: int = 0) -> Any:
    """Ids [B, T] without special tokens."""
    return torch.randint(3, VOCAB, (batch, length), generator=torch.Generator().manual_seed(seed))
