"""Several adapters: switched, deleted, mixed in one batch; generation with them."""

from __future__ import annotations

import pytest
import torch

from enfold import adapt
from tests.adapt.tuned import MODELS, shake
from tests.families.pairs import close, fresh, texts


def build(name="llama", **options):
    kind, suffix, targets = MODELS[name]
    pair = fresh(kind, suffix)
    options.setdefault("target_modules", targets)
    torch.manual_seed(0)
    model = adapt.get_peft_model(pair.ours, adapt.LoraConfig(**options)).eval()
    shake(model)
    return pair, model


def two(name="llama"):
    pair, model = build(name)
    model.add_adapter("lora", adapt.LoraConfig(target_modules=MODELS[name][2], r=3))
    model.set_adapter("lora")
    shake(model)
    model.set_adapter("default")
    return pair, model


def run(model, inputs, **options):
    with torch.no_grad():
        return model(**inputs, **options).logits


def test_switching():
    pair, model = two()
    inputs = pair.inputs()
    first = run(model, inputs)
    model.set_adapter("lora")
    assert model.active_adapters == ["lora"] and model.active_adapter == "lora"
    trained = [path for path, p in model.named_parameters() if p.requires_grad]
    assert trained and all(path.split(".")[-2] == "lora" for path in trained)
    second = run(model, inputs)
    assert (first - second).abs().max() > 1e-3
    model.delete_adapter("lora")
    assert model.active_adapters == ["default"]
    close(run(model, inputs), first)
    assert not any(".lora." in path for path, _ in model.named_parameters())


def test_last_one_deleted():
    pair, model = build()
    with model.disable_adapter():
        plain = run(model, pair.inputs())
    model.delete_adapter("default")
    assert not any("base_layer" in path for path, _ in pair.ours.named_parameters())
    close(run(pair.ours, pair.inputs()), plain)


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
def test_mixed_batch(name):
    pair, model = two(name)
    inputs = pair.inputs(batch=3)
    names = ["lora", "__base__", "default"]
    wanted = []
    for row, adapter in enumerate(names):
        one = {key: value[row : row + 1] for key, value in inputs.items()}
        if adapter == "__base__":
            with model.disable_adapter():
                wanted.append(run(model, one))
        else:
            model.set_adapter(adapter)
            wanted.append(run(model, one))
    close(run(model, inputs, adapter_names=names), torch.cat(wanted), 1e-4)


def test_mixed_generation():
    _, model = two()
    ids = texts(2, 5)["input_ids"]
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    both = model.generate(ids, adapter_names=["lora", "default"], **options)
    beams = model.generate(ids, adapter_names=["lora", "default"], num_beams=3, **options)
    for row, name in enumerate(["lora", "default"]):
        model.set_adapter(name)
        one = ids[row : row + 1]
        assert torch.equal(both[row], model.generate(one, **options)[0])
        assert torch.equal(beams[row], model.generate(one, num_beams=3, **options)[0])


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2", "t5", "bart"])
def test_cached_decoding(name):
    _, model = build(name, target_modules="all-linear")
    ids = texts(2, 5)["input_ids"]
    options = {"max_new_tokens": 8, "do_sample": False}
    cached = model.generate(ids, **options)
    assert torch.equal(cached, model.generate(ids, use_cache=False, **options))
    merged = model.merge_and_unload()
    assert torch.equal(cached, merged.generate(ids, **options))


@pytest.mark.parametrize(("call", "message"), [
    (lambda m, i: m(**i, adapter_names=["default"] * 3), "3 names for a batch of 2 rows"),
    (lambda m, i: m(**i, adapter_names=["defualt"]), r"no adapter 'defualt' \(nearest: 'default'"),
    (lambda m, i: m.train()(**i, adapter_names=["default"]), "adapter_names in training"),
    (lambda m, i: m.set_adapter("other"), "there is no adapter 'other'"),
    (lambda m, i: m.add_adapter("lora", adapt.LoraConfig()), "there is an adapter 'lora' already"),
    (lambda m, i: m.add_adapter("a.b", adapt.LoraConfig()), "can't be called 'a.b'"),
    (lambda m, i: m.add_adapter("keys", adapt.LoraConfig()), "can't be called 'keys'"),
    (lambda m, i: (m.base_model.merge_adapter(), m.delete_adapter("default")), "is merged"),
])
def test_errors(call, message):
    pair, model = two()
    with pytest.raises(ValueError, match=message):
        call(model, pair.inputs())
