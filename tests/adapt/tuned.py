"""A base model with an adapter, in peft and here, with the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch

from enfold import adapt
from tests.families.pairs import Pair, fresh

MODELS = {
    "llama": ("llama", "ForCausalLM", ["q_proj", "v_proj"]),
    "qwen2": ("qwen2", "ForCausalLM", ["q_proj", "down_proj"]),
    "mixtral": ("mixtral", "ForCausalLM", ["q_proj", "w1", "w2", "w3", "gate"]),
    "gpt2": ("gpt2", "LMHeadModel", ["c_attn", "mlp.c_proj"]),
    "bert": ("bert", "ForMaskedLM", ["query", "value", "intermediate.dense"]),
    "t5": ("t5", "ForConditionalGeneration", ["q", "v", "wo"]),
    "bart": ("bart", "ForConditionalGeneration", ["q_proj", "fc1"]),
}


@dataclass
class Tuned:
    """A pair of peft models."""

    pair: Pair
    theirs: Any
    ours: Any

    def inputs(self) -> dict[str, Any]:
        """Ids and labels."""
        made = self.pair.inputs()
        target = made.get("decoder_input_ids", made["input_ids"])
        return {**made, "labels": target.clone()}


def tuned(name: str, folder: Path, seed: int = 0, **options: Any) -> Tuned:
    """peft's model with noise on the adapter, saved, and loaded here."""
    kind, suffix, targets = MODELS[name]
    pair = fresh(kind, suffix)
    method = options.pop("method", "LoraConfig")
    options.setdefault("target_modules", targets)
    torch.manual_seed(seed)
    theirs = peft.get_peft_model(pair.theirs, getattr(peft, method)(**options))
    shake(theirs)
    theirs.save_pretrained(folder)
    return Tuned(pair, theirs.eval(), adapt.PeftModel.from_pretrained(pair.ours, folder))


def shake(model: Any) -> None:
    """Noise on all that is trained: B starts at zero, which hides mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
