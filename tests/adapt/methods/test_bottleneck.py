"""Bottleneck adapters: where they sit, what they compute, their files."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from enfold import adapt
from enfold.errors import ConfigError
from tests.adapt.methods.table import KINDS, pair
from tests.adapt.tuned import shake
from tests.families.pairs import close, same_outputs

BEHIND = {  # the layers whose outputs they adapt: of attention, of the feed-forward
    "llama": ("o_proj", "down_proj"), "gpt2": ("attn.c_proj", "mlp.c_proj"),
    "bert": ("attention.output.dense", "output.dense"),
    "t5": ("SelfAttention.o", "EncDecAttention.o", "wo"),
}
MODELS = list(BEHIND)


def adapted(model, **options):
    """A model with adapters away from their start, and its pair."""
    made = pair(model)
    torch.manual_seed(0)
    ours = adapt.get_peft_model(made.ours, adapt.AdapterConfig(**options)).eval()
    shake(ours)
    return made, ours


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
def test_places_and_numbers(model, placement):
    """transformers' model, with the same small networks behind the same layers by hooks."""
    made, ours = adapted(model, placement=placement, reduction_factor=4, scaling=0.7,
                         non_linearity="gelu")
    wanted = BEHIND[model] if placement == "houlsby" else BEHIND[model][-1:]
    layers = {path: layer for path, layer in made.theirs.named_modules()
              if path.endswith(tuple(f".{end}" for end in wanted))
              and (placement == "houlsby" or "attention.output" not in path)}
    assert set(ours.adapters.layers) == set(layers)
    for path, layer in layers.items():
        layer.register_forward_hook(hook(ours.adapters.layers[path].deltas["default"]))
    with torch.no_grad():
        same_outputs(ours(**made.inputs()), made.theirs(**made.inputs()))


def hook(delta):
    down, up = delta.adapter_down, delta.adapter_up

    def change(layer, given, y):
        return y + 0.7 * F.linear(F.gelu(F.linear(y, down.weight, down.bias)), up.weight, up.bias)

    return change


@pytest.mark.parametrize("model", ["llama", "t5"])
def test_files(model, tmp_path):
    made, ours = adapted(model, bottleneck_size=5)
    ours.save_pretrained(tmp_path)
    again = adapt.PeftModel.from_pretrained(pair(model).ours, tmp_path)
    assert again.peft_config["default"].bottleneck_size == 5
    with torch.no_grad():
        before = ours(**made.inputs()).logits
        close(again(**made.inputs()).logits, before, 0)
        with ours.disable_adapter():
            assert (ours(**made.inputs()).logits - before).abs().max() > 1e-3


def test_starts_as_the_base():
    made = pair("bert")
    with torch.no_grad():
        before = made.ours(**made.inputs()).logits
        ours = adapt.get_peft_model(made.ours, adapt.AdapterConfig(task_type="TOKEN_CLS")).eval()
        close(ours(**made.inputs()).logits, before, 0)
    assert all("adapter_" in name or "modules_to_save" in name
               for name, p in ours.named_parameters() if p.requires_grad)


def test_messages():
    _, ours = adapted("llama")
    with pytest.raises(NotImplementedError, match=r"Bottleneck can't be merged.*keep the adapter"):
        ours.merge_and_unload()
    with pytest.raises(ConfigError, match=r"placement is 'middle', expected one of houlsby"):
        adapt.AdapterConfig(placement="middle")
    with pytest.raises(ConfigError, match="reduction_factor is 0, expected a positive number"):
        adapt.AdapterConfig(reduction_factor=0)
    with pytest.raises(ConfigError, match="nonsense"):
        adapt.AdapterConfig(non_linearity="nonsense")
    assert set(KINDS) >= set(MODELS)
