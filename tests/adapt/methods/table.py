"""The methods beside LoRA, and how the tests build them in peft and here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch

from enfold import adapt
from tests.adapt.tuned import MODELS, Tuned, shake
from tests.families.pairs import Pair, fresh

KINDS = {name: MODELS[name][:2] for name in ("llama", "gpt2", "bert", "t5", "mixtral")} | {
    "classifier": ("bert", "ForSequenceClassification")}
TASKS = {"llama": "CAUSAL_LM", "gpt2": "CAUSAL_LM", "mixtral": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM",
         "classifier": "SEQ_CLS"}
TARGETS = {name: made[2] for name, made in MODELS.items()} | {"mixtral": ["q_proj", "o_proj"]}
EVERY = ("llama", "gpt2", "bert", "t5", "mixtral")


@dataclass(frozen=True)
class Case:
    """A method with options; `targets` where they are not those of `MODELS`."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = EVERY
    targets: dict[str, list[str]] = field(default_factory=dict)
    merges: bool = True

    def config(self, model: str, library: Any) -> Any:
        """The configuration in peft or here."""
        values = dict(self.options)
        if self.method.startswith(("P", "Ada")):  # whose effect in peft takes the task's class
            values["task_type"] = TASKS[model]
        if not self.method.startswith("P"):
            values.setdefault("target_modules", self.targets.get(model, TARGETS[model]))
        return getattr(library, self.method)(**values)

    def build(self, model: str, folder: Path) -> Tuned:
        """peft's model with noise on the adapter, saved, and loaded here."""
        made = pair(model)
        torch.manual_seed(0)
        theirs = peft.get_peft_model(made.theirs, self.config(model, peft))
        shake(theirs)
        theirs.save_pretrained(folder)
        return Tuned(made, theirs.eval(), adapt.PeftModel.from_pretrained(made.ours, folder))


def pair(model: str) -> Pair:
    """The base, theirs and ours."""
    return fresh(*KINDS[model], **({"num_decoder_layers": 2, "d_kv": 8} if model == "t5" else {}))


def inputs_of(made: Tuned) -> dict[str, Any]:
    """Ids and labels."""
    if made.pair.suffix == "ForSequenceClassification":
        return {**made.pair.inputs(), "labels": torch.tensor([0, 1])}
    return made.inputs()


IA3 = {"llama": ["k_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "mlp.c_proj"],
       "bert": ["key", "value", "output.dense"], "t5": ["k", "v", "wo"],
       "mixtral": ["k_proj", "v_proj"]}
FEEDS = {"llama": ["down_proj"], "gpt2": ["mlp.c_proj"], "bert": ["output.dense"], "t5": ["wo"]}
UNFUSED = ("llama", "bert", "t5", "mixtral")  # peft's act on no Conv1D
TOKENS, INPUTS = {"num_virtual_tokens": 3}, ("llama", "gpt2", "t5", "mixtral", "classifier")
CASES = {
    "ia3": Case("IA3Config", {"feedforward_modules": []}, targets=IA3),
    "ia3-usual": Case("IA3Config", {"target_modules": None}, ("llama", "gpt2", "t5", "mixtral")),
    **{f"ia3-{name}": Case("IA3Config", {"feedforward_modules": FEEDS[name]}, (name,), IA3)
       for name in FEEDS},
    "loha": Case("LoHaConfig", {"r": 3}, UNFUSED),
    "loha-pattern": Case("LoHaConfig", {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {
        "layers.0.*": 5.0}}, ("llama",)),
    "lokr": Case("LoKrConfig", {"r": 2}, UNFUSED),
    "lokr-both": Case("LoKrConfig", {"r": 1, "decompose_both": True, "decompose_factor": 4},
                      ("llama",)),
    "lokr-lycoris": Case("LoKrConfig", {"init_weights": "lycoris"}, ("llama",)),
    "vera": Case("VeraConfig", {"r": 6}),
    "vera-unsaved": Case("VeraConfig", {"r": 6, "save_projection": False, "bias": "vera_only",
                                        "projection_prng_key": 7}, ("bert",)),
    "adalora": Case("AdaLoraConfig", {"init_r": 4, "target_r": 2, "total_step": 10},
                    ("llama", "gpt2", "t5", "mixtral")),
    "oft": Case("OFTConfig", {"oft_block_size": 8}, UNFUSED),
    "oft-r": Case("OFTConfig", {"r": 5, "oft_block_size": 0, "use_cayley_neumann": False},
                  ("llama",)),
    "oft-shared": Case("OFTConfig", {"oft_block_size": 7, "block_share": True, "coft": True,
                                     "eps": 0.5, "num_cayley_neumann_terms": 3}, ("bert",)),
    "prompt": Case("PromptTuningConfig", TOKENS, INPUTS, merges=False),
    "prefix": Case("PrefixTuningConfig", TOKENS, INPUTS, merges=False),
    "prefix-projected": Case("PrefixTuningConfig", {**TOKENS, "prefix_projection": True},
                             INPUTS, merges=False),
    "p-mlp": Case("PromptEncoderConfig", {**TOKENS, "encoder_hidden_size": 12}, INPUTS,
                  merges=False),
    "p-lstm": Case("PromptEncoderConfig", {**TOKENS, "encoder_reparameterization_type": "LSTM"},
                   INPUTS, merges=False),
}
ALL = [(name, model) for name, case in CASES.items() for model in case.models]
MERGING = [(name, model) for name, model in ALL if CASES[name].merges]
