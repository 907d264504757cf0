"""Merging: the same outputs to 1e-5, in place, and out again."""

from __future__ import annotations

import pytest
import torch

from enfold import adapt
from enfold.errors import InputError
from tests.adapt.tuned import MODELS, shake
from tests.families.pairs import close, fresh

OPTIONS = {
    "plain": {}, "dora": {"use_dora": True}, "rslora": {"use_rslora": True, "r": 4},
    "lora_bias": {"lora_bias": True}, "all": {"target_modules": "all-linear"},
}
CASES = [(name, "plain") for name in MODELS] + [
    (name, option) for name in ("llama", "gpt2") for option in list(OPTIONS)[1:]
    if (name, option) != ("llama", "lora_bias")]  # no biases there


def build(name, **options):
    kind, suffix, targets = MODELS[name]
    pair = fresh(kind, suffix)
    options.setdefault("target_modules", targets)
    torch.manual_seed(0)
    model = adapt.get_peft_model(pair.ours, adapt.LoraConfig(**options)).eval()
    shake(model)
    return pair, model


def run(model, pair):
    with torch.no_grad():
        return model(**pair.inputs()).logits


@pytest.mark.parametrize(("name", "option"), CASES)
def test_merged_equals_unmerged(name, option):
    pair, model = build(name, **OPTIONS[option])
    with model.disable_adapter():
        plain = run(model, pair)
    before = run(model, pair)
    assert (before - plain).abs().max() > 1e-3
    model.base_model.merge_adapter()
    close(run(model, pair), before)
    with model.disable_adapter():
        close(run(model, pair), plain)
    close(run(model, pair), before)
    model.base_model.unmerge_adapter()
    close(run(model, pair), before)
    weights = {p.data_ptr() for path, p in model.named_parameters() if "base_layer.weight" in path}
    merged = model.merge_and_unload(safe_merge=True)
    assert merged is pair.ours
    assert weights <= {p.data_ptr() for p in merged.parameters()}  # in place
    assert not any("base_layer" in path or "lora" in path for path, _ in merged.named_parameters())
    close(run(merged, pair), before)


def test_a_bias_has_to_have_its_place():
    pair, model = build("llama", lora_bias=True)
    before = run(model, pair)
    with pytest.raises(InputError, match=r"'default' has a bias \(lora_bias=True\) and the layer"):
        model.merge_and_unload()
    close(run(model, pair), before)


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
def test_tied_embedding(name):
    pair, model = build(name, target_modules=[{"llama": "embed_tokens", "gpt2": "wte",
                                               "bert": "word_embeddings"}[name]])
    before = run(model, pair)
    close(run(model.merge_and_unload(), pair), before)


def test_sixteen_bits():
    pair, model = build("llama")
    base = pair.ours.to(torch.bfloat16)
    before = run(model, pair)
    after = run(model.merge_and_unload(), pair)
    assert base.dtype == after.dtype == torch.bfloat16
    close(after, before, 0.03)


def test_several_active():
    pair, model = build("llama")
    model.add_adapter("other", adapt.LoraConfig(target_modules=["k_proj", "v_proj"]))
    model.set_adapter(["default", "other"])
    shake(model)
    before = run(model, pair)
    close(run(model.merge_and_unload(), pair), before)


def test_safe_merge_stops():
    _, model = build("llama")
    with torch.no_grad():
        next(p for path, p in model.named_parameters() if "lora_A" in path).fill_(float("inf"))
    with pytest.raises(ValueError, match="merged weight would hold inf or nan"):
        model.merge_and_unload(safe_merge=True)


def test_unload_is_the_base():
    pair, model = build("qwen2")
    with model.disable_adapter():
        plain = run(model, pair)
    close(run(model.unload(), pair), plain)
    assert set(dict(pair.ours.named_parameters())) == set(dict(fresh("qwen2",
                                                                     "ForCausalLM").ours
                                                               .named_parameters()))


def test_switching_takes_a_merged_one_out():
    pair, model = build("llama")
    model.add_adapter("other", adapt.LoraConfig(target_modules=["k_proj", "v_proj"]))
    model.set_adapter("other")
    shake(model)
    wanted = run(model, pair)
    model.set_adapter("default")
    model.base_model.merge_adapter()
    model.set_adapter("other")
    close(run(model, pair), wanted)


def test_dora_merges_alone():
    pair, model = build("llama", use_dora=True)
    model.add_adapter("other", adapt.LoraConfig(target_modules=["v_proj"]))
    model.set_adapter(["other", "default"])
    shake(model)
    before = run(model, pair)
    with pytest.raises(NotImplementedError, match="Dora adapter 'default' is merged alone"):
        model.merge_and_unload()
    close(run(model, pair), before)
