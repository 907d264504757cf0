"""Methods beside each other: in one batch, on one layer, and what their configurations refuse."""

from __future__ import annotations

import pytest
import torch

from enfold import adapt
from enfold.errors import ConfigError, InputError
from tests.adapt.methods.table import CASES, pair
from tests.adapt.tuned import shake
from tests.families.pairs import close

LAYERS = ["ia3-llama", "loha", "lokr", "vera", "oft"]
TARGETS = ["q_proj", "down_proj"]


def config(name):
    made = CASES[name].config("llama", adapt)
    made.target_modules = set(TARGETS)
    if name.startswith("ia3"):
        made.feedforward_modules = {"down_proj"}
    return made


@pytest.mark.parametrize("name", [*LAYERS, "bottleneck"])
def test_rows_of_a_batch(name):
    """Each row with its own adapter is that row with the adapter alone; the files hold one each."""
    made = pair("llama")
    other = adapt.AdapterConfig() if name == "bottleneck" else config(name)
    torch.manual_seed(0)
    ours = adapt.get_peft_model(made.ours, adapt.LoraConfig(target_modules=TARGETS), "one").eval()
    shake(ours)
    ours.add_adapter("two", other)
    ours.set_adapter("two")
    shake(ours)
    ids = made.inputs()["input_ids"]
    with torch.no_grad():
        mixed = ours(input_ids=torch.cat((ids, ids[:1])), adapter_names=["one", "two", "__base__"])
        for row, adapter in enumerate(("one", "two")):
            ours.set_adapter(adapter)
            close(mixed.logits[row], ours(input_ids=ids[row : row + 1]).logits[0])
        with ours.disable_adapter():
            close(mixed.logits[2], ours(input_ids=ids[:1]).logits[0])
        ours.delete_adapter("two")
        close(mixed.logits[0], ours(input_ids=ids[:1]).logits[0])
    assert not ours.adapters.shared


def test_lora_beside_adalora():
    ours = adapt.get_peft_model(pair("llama").ours, adapt.LoraConfig(target_modules=TARGETS))
    with pytest.raises(InputError, match="LoRA and AdaLoRA on one model: their parts have the"):
        ours.add_adapter("two", config("adalora"))


@pytest.mark.parametrize(("kind", "options", "message"), [
    ("IA3Config", {"target_modules": ["a"], "feedforward_modules": ["b"]},
     r"feedforward_modules names \['b'\], expected some of target_modules \['a'\]"),
    ("LoHaConfig", {"r": 0}, "LoHaConfig: r is 0, expected a whole number of at least 1"),
    ("LoKrConfig", {"init_weights": "some"}, "init_weights is 'some', expected True, False or"),
    ("VeraConfig", {"r": -1}, "VeraConfig: r is -1, expected a whole number"),
    ("VeraConfig", {"bias": "some"}, "bias is 'some', expected 'none', 'all' or 'vera_only'"),
    ("OFTConfig", {"r": 2}, "r is 2 and oft_block_size 32, expected one of them"),
    ("OFTConfig", {"bias": "some"}, "bias is 'some', expected 'none', 'all' or 'oft_only'"),
])
def test_configurations(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        getattr(adapt, kind)(**options)


@pytest.mark.parametrize(("kind", "name"), [
    ("LoHaConfig", "use_effective_conv2d"), ("OFTConfig", "module_dropout")])
def test_not_built(kind, name):
    with pytest.raises(NotImplementedError, match=f"{name}=True is not built. Do: leave it out"):
        getattr(adapt, kind)(**{name: True})
