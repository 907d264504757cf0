"""optimize=: inference by our kernels or by torch alone, with the same numbers."""

from __future__ import annotations

import pytest
import torch

from enfold.nn.linear import Linear
from enfold.nn.native import attention, fused, linear
from enfold.nn.native.library import levels
from tests.families.pairs import our_class, pair, texts

CASES = [("llama", "ForCausalLM"), ("gpt2", "LMHeadModel"), ("bert", "ForMaskedLM"),
         ("t5", "ForConditionalGeneration")]


@pytest.fixture
def calls(monkeypatch):
    """The native functions that were called, by name."""
    found = set()

    def counted(name, inner):
        return lambda *args, **kwargs: (found.add(name), inner(*args, **kwargs))[1]

    for module, name in ((attention, "attention"), (fused, "gate"), (fused, "rotate"),
                         (linear, "linear")):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    return found


@pytest.mark.parametrize(("kind", "suffix"), CASES)
@torch.no_grad()
def test_off_means_torch_alone_and_gives_the_same(kind, suffix, calls) -> None:
    if not levels():
        pytest.skip("no native library is built here")
    folder = pair(kind, suffix).folder
    plain = our_class(kind, suffix).from_pretrained(folder, optimize=False)
    quick = our_class(kind, suffix).from_pretrained(folder)
    made = texts(2, 9, "right")
    more = {"decoder_input_ids": made["input_ids"]} if kind == "t5" else {}
    wanted = plain(**made, **more).logits
    assert not calls
    found = quick(**made, **more).logits
    assert calls
    real = made["attention_mask"].bool()
    torch.testing.assert_close(found[real], wanted[real], rtol=1e-4, atol=1e-5)
    calls.clear()
    quick.optimize(False)(**made, **more)
    assert not calls
    quick.optimize()(**made, **more)
    assert calls


@torch.no_grad()
def test_tokens_are_the_same() -> None:
    folder = pair("llama", "ForCausalLM").folder
    ids = texts(2, 7)["input_ids"]
    plain, quick = (our_class("llama", "ForCausalLM").from_pretrained(folder, optimize=optimize)
                    for optimize in (False, True))
    found = [model.generate(ids, max_new_tokens=12, do_sample=False) for model in (plain, quick)]
    assert torch.equal(*found)
    assert not any(m.native for m in plain.body.modules() if isinstance(m, Linear))
