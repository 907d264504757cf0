"""A PeftModel as a module: copies, types, recomputation, names, initial values."""

from __future__ import annotations

import copy
import io

import peft
import pytest
import torch

from enfold import adapt
from tests.adapt.tuned import MODELS, shake
from tests.families.pairs import close, fresh


def build(name="llama", dtype=None, **options):
    kind, suffix, targets = MODELS[name]
    pair = fresh(kind, suffix)
    options.setdefault("target_modules", targets)
    torch.manual_seed(0)
    base = pair.ours if dtype is None else pair.ours.to(dtype)
    return pair, adapt.get_peft_model(base, adapt.LoraConfig(**options))


def run(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("how", ["copy", "pickle"])
def test_copies_are_independent(how):
    pair, model = build("bert", modules_to_save=["decoder"])
    shake(model.eval())
    if how == "copy":
        other = copy.deepcopy(model)
    else:
        held = io.BytesIO()
        torch.save(model, held)
        held.seek(0)
        other = torch.load(held, weights_only=False)
    before = run(model, pair.inputs())
    close(run(other, pair.inputs()), before)
    other.add_adapter("more", adapt.LoraConfig(target_modules=["query"]))
    with torch.no_grad():
        for path, parameter in other.named_parameters():
            if "lora_B" in path:
                parameter.zero_()
    assert (run(other, pair.inputs()) - before).abs().max() > 1e-4
    close(run(model, pair.inputs()), before)
    assert list(model.peft_config) == ["default"]


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
def test_names(name):
    _, model = build(name)
    for path, parameter in model.named_parameters():
        assert model.get_parameter(path) is parameter
    for path, module in model.named_modules():
        if "lora_" in path or "base_layer" in path:
            assert model.get_submodule(path) is module
    assert {id(p) for p in model.parameters()} == {id(p) for m in model.modules()
                                                   for p in m._parameters.values() if p is not None}


def test_same_start_as_peft():
    """The same seed gives the same first values."""
    kind, suffix, targets = MODELS["llama"]
    pair = fresh(kind, suffix)
    for init in (True, "gaussian", "orthogonal"):
        torch.manual_seed(3)
        theirs = peft.get_peft_model(fresh(kind, suffix).theirs, peft.LoraConfig(
            target_modules=targets, init_lora_weights=init))
        torch.manual_seed(3)
        ours = adapt.get_peft_model(copy.deepcopy(pair.ours), adapt.LoraConfig(
            target_modules=targets, init_lora_weights=init))
        wanted = dict(theirs.named_parameters())
        for path, parameter in ours.named_parameters():
            assert torch.equal(parameter, wanted[path]), (init, path)


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "olora", "orthogonal", "loftq"])
def test_starts_keep_the_outputs(init):
    loftq = {"loftq_config": adapt.LoftQConfig(loftq_bits=8)} if init == "loftq" else {}
    pair, model = build("gpt2", init_lora_weights=init, lora_alpha=16, **loftq)
    plain = run(fresh("gpt2", "LMHeadModel").ours, pair.inputs())
    close(run(model.eval(), pair.inputs()), plain, 0.02 if init == "loftq" else 2e-5)


@pytest.mark.parametrize("bits", [4, 8])
def test_loftq_corrects_quantisation(bits):
    from enfold.adapt.lora.init import loftq

    torch.manual_seed(0)
    weight = torch.randn(48, 32)
    b, a, rest = loftq(weight, 16, bits, 4)
    assert len(rest.unique()) < 16 * (48 * 32 // 64) if bits == 4 else True
    assert (rest + b @ a - weight).norm() < 0.8 * (rest - weight).norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits(dtype):
    """The adapter is kept and trained in 32 bits on a base of 16."""
    pair, model = build("llama", dtype)
    shake(model.eval())
    kinds = {p.dtype for p in model.parameters() if p.requires_grad}
    assert kinds == {torch.float32}
    out = model(**pair.inputs(), labels=pair.inputs()["input_ids"])
    assert out.logits.dtype == dtype
    out.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    full = build("llama")[1].eval()
    full.load_state_dict({key: value.float() for key, value in model.state_dict().items()})
    close(out.logits.float(), run(full, pair.inputs()), 0.05)


def test_adapter_in_the_type_of_the_base():
    model = adapt.get_peft_model(fresh("llama", "ForCausalLM").ours.to(torch.bfloat16),
                                 adapt.LoraConfig(), autocast_adapter_dtype=False)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_autocast():
    pair, model = build()
    shake(model.eval())
    with torch.autocast("cpu", torch.bfloat16):
        out = model(**pair.inputs(), labels=pair.inputs()["input_ids"])
        out.loss.backward()
    close(out.logits.float(), run(model, pair.inputs()), 0.05)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ["llama", "bert", "t5"])
def test_recomputation(name):
    pair, model = build(name)
    shake(model)
    inputs = pair.inputs()
    labels = inputs.get("decoder_input_ids", inputs["input_ids"])
    model(**inputs, labels=labels).loss.backward()
    wanted = {path: p.grad.clone() for path, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
    model(**inputs, labels=labels).loss.backward()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            close(parameter.grad, wanted[path])


def test_dropout_only_in_training():
    pair, model = build(lora_dropout=0.5)
    shake(model.train())
    inputs = pair.inputs()
    assert (run(model, inputs) - run(model, inputs)).abs().max() > 1e-4
    model.eval()
    assert torch.equal(run(model, inputs), run(model, inputs))
