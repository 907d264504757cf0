"""Decoding by steps gives what the modules give, and leaves to them what is not plainly ours."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from enfold.models.configs import config_class
from enfold.nn.moe import Mixture
from enfold.nn.native.library import using
from enfold.nn.step_fixed import FixedStepper, can_fix
from enfold.spec import EncDec
from tests.families.pairs import LANGUAGE, fresh, ids, texts
from tests.watched import Watched

ENCODERS = ("bert", "roberta", "distilbert")


def cases():
    """The language models that generate; of an encoder-decoder the rows start together."""
    for case in LANGUAGE:
        if case[0] in ENCODERS:
            continue
        two = config_class(case[0]).DEFAULTS.get("is_encoder_decoder")
        for padding in (None,) if two else (None, "left"):
            for fixed in (False, True):
                name = f"{ids(case)}-{padding}" + "-fixed" * fixed
                yield pytest.param(case, padding, fixed, id=name)


def begin(model, made, length):
    """Two caches after the first `length` tokens, and the encoder's mask."""
    caches, memory = [], None
    for _ in range(2):
        cache = model.new_cache(made["input_ids"].shape[0], 32)
        if isinstance(model.spec, EncDec):
            memory = torch.ones_like(made["input_ids"])
            model(input_ids=made["input_ids"], attention_mask=memory, past_key_values=cache,
                  decoder_input_ids=made["input_ids"][:, :length])
        else:
            mask = made["attention_mask"][:, :length]
            model(input_ids=made["input_ids"][:, :length], attention_mask=mask,
                  position_ids=places(mask), past_key_values=cache)
        caches.append(cache)
    return caches, memory


def whole(made):
    """The inputs with a mask in any case."""
    return {"attention_mask": torch.ones_like(made["input_ids"])} | made


def places(mask):
    return (mask.cumsum(1) - 1).clamp(min=0)


@pytest.mark.parametrize(("case", "padding", "fixed"), list(cases()))
@torch.no_grad()
def test_steps_equal_the_modules(case, padding, fixed) -> None:
    """Also those of fixed shapes, which are what a CUDA graph holds."""
    model = fresh(*case).ours
    two = isinstance(model.spec, EncDec)
    top = model.get_decoder().get_input_embeddings().num_embeddings
    made, length = whole(texts(2, 12, padding, top)), 4
    (plain, stepped), memory = begin(model, made, length)
    step = model.stepper(stepped, 16)
    assert step is not None
    if fixed:
        sparse = any(isinstance(module, Mixture) for module in step.body.modules())
        waits = sparse or case[2] in ("dynamic", "longrope")  # for values: experts, lengths
        assert can_fix(step) != waits
        step = FixedStepper(step.body, step.head, step.cache, step.capacity)
    for place in range(length, 12):
        token = made["input_ids"][:, place : place + 1]
        mask = made["attention_mask"][:, : place + 1]
        position = places(mask)[:, -1:] if padding else None
        found = step(token, position, mask if padding else None, memory)
        if two:
            wanted = model(attention_mask=memory, decoder_input_ids=token, past_key_values=plain,
                           encoder_outputs=(torch.zeros(2, 12, model.config.d_model),)).logits
        else:
            wanted = model(input_ids=token, attention_mask=mask, position_ids=position,
                           past_key_values=plain).logits
        torch.testing.assert_close(found, wanted[:, -1], rtol=1e-5, atol=1e-5)
    assert stepped.length == plain.length == 12


@torch.no_grad()
def test_what_is_not_plainly_ours_is_called_as_it_is() -> None:
    model = fresh("llama", "ForCausalLM", "base").ours
    made = whole(texts(1, 8))
    (plain, stepped), _ = begin(model, made, 4)
    calls = []

    class Doubled(nn.Module):
        def __init__(self, inner) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x):
            calls.append(x.shape)
            return 2 * self.inner(x)

    model.model.layers[0].self_attn.q_proj = Doubled(model.model.layers[0].self_attn.q_proj)
    hook = model.model.layers[1].mlp.down_proj.register_forward_hook(lambda m, i, o: o + 1)
    token = made["input_ids"][:, 4:5]
    found = model.stepper(stepped)(token)
    assert calls == [(1, 1, 32)]
    wanted = model(token, past_key_values=plain).logits[:, -1]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    hook.remove()


def test_no_steps_where_modules_have_to_be_called_themselves() -> None:
    model = fresh("llama", "ForCausalLM", "base").ours
    cache = model.new_cache()
    model(texts(1, 6)["input_ids"], past_key_values=cache)
    assert model.stepper(cache) is not None
    hook = model.model.layers[0].register_forward_hook(lambda module, inputs, output: None)
    assert model.stepper(cache) is None
    hook.remove()
    model.set_attn_implementation("eager")
    assert model.stepper(cache) is None
    model.set_attn_implementation("sdpa")
    assert model.train().stepper(cache) is None


@pytest.mark.parametrize("ask", [
    lambda: int(torch.ones(1)), lambda: bool(torch.ones(1)), lambda: torch.tensor([1.0]),
    lambda: torch.ones(2)[torch.ones(2).bool()]])
def test_reading_values_is_seen(ask) -> None:
    with torch.inference_mode(), Watched(), pytest.raises(AssertionError):
        ask()


@pytest.mark.parametrize("case", [case for case in LANGUAGE if case[0] not in ENCODERS], ids=ids)
@torch.no_grad()
def test_steps_of_fixed_shapes_read_no_values(case) -> None:
    """In torch's operations, which are those that a GPU gets."""
    model = fresh(*case).ours
    top = model.get_decoder().get_input_embeddings().num_embeddings
    two = isinstance(model.spec, EncDec)
    made = whole(texts(2, 12, None if two else "left", top))
    (cache, _), memory = begin(model, made, 4)
    with using(None):
        step = model.stepper(cache, 16)
        if not can_fix(step):
            pytest.skip("experts and lengths are asked for on the host: not captured")
        step = FixedStepper(step.body, step.head, step.cache, step.capacity)
        mask = None if two else made["attention_mask"][:, :5]
        step.write(made["input_ids"][:, 4:5], None if two else places(mask)[:, -1:], mask, memory)
        with torch.inference_mode(), Watched():
            step.compute()
