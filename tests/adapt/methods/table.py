"""The methods beside LoRA, and how the tests build them in peft and here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.adapt.tuned import MODELS, Tuned, tuned


@dataclass(frozen=True)
class Case:
    """A method with options; `targets` where they are not those of `MODELS`."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ("llama", "gpt2", "bert", "t5")
    targets: dict[str, list[str]] = field(default_factory=dict)
    merges: bool = True

    def build(self, model: str, folder: Path) -> Tuned:
        """peft's model with noise on the adapter, saved, and loaded here."""
        return tuned(model, folder, method=self.method, **self.settings(model))

    def settings(self, model: str) -> dict[str, Any]:
        """The arguments of the configuration."""
        return {"target_modules": self.targets.get(model, MODELS[model][2]), **self.options}


IA3 = {"llama": ["k_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "mlp.c_proj"],
       "bert": ["key", "value", "output.dense"], "t5": ["k", "v", "wo"]}
FEEDS = {"llama": ["down_proj"], "gpt2": ["mlp.c_proj"], "bert": ["output.dense"], "t5": ["wo"]}
CASES = {
    "ia3": Case("IA3Config", {"feedforward_modules": []}, targets=IA3),
    "ia3-usual": Case("IA3Config", {"target_modules": None}, ("llama", "gpt2", "t5")),
    **{f"ia3-{name}": Case("IA3Config", {"feedforward_modules": FEEDS[name]}, (name,), IA3)
       for name in FEEDS},
}
ALL = [(name, model) for name, case in CASES.items() for model in case.models]
MERGING = [(name, model) for name, model in ALL if CASES[name].merges]
