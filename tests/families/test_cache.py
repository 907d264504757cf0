"""Cached steps equal one full pass: every family, padding, windows, older forms of caches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from enfold.nn.cache import Cache
from tests.families.pairs import LANGUAGE, Pair, close, fresh, ids, pair
from tests.families.tiny import TINY

DECODERS = [case for case in LANGUAGE if TINY[case[0]].lm in ("ForCausalLM", "LMHeadModel")]
SEQ2SEQ = [case for case in LANGUAGE if case[0] in ("bart", "marian", "t5")]


@pytest.mark.parametrize("steps", [(1,) * 9, (4, 1, 3, 1)], ids=["one by one", "in chunks"])
@pytest.mark.parametrize("case", DECODERS, ids=ids)
def test_decoder_steps(case: tuple[str, str, str], steps: tuple[int, ...]) -> None:
    both = pair(*case)
    tokens = both.inputs()["input_ids"]
    with torch.no_grad():
        if case[2] in ("dynamic", "longrope"):  # what is cached was scaled for a shorter text
            theirs = fresh(*case).theirs  # which remembers the longest text it has seen
            whole = _stepwise(theirs, tokens, steps, DynamicCache())
        else:
            whole = both.theirs(tokens).logits
        close(_stepwise(both.ours, tokens, steps, both.ours.new_cache(2, 30)), whole)


@pytest.mark.parametrize("case", DECODERS, ids=ids)
def test_left_padded_steps_equal_the_unpadded_text(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    given = both.inputs("left", batch=3)
    tokens, mask = given["input_ids"], given["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    cache, seen = Cache(), []
    with torch.no_grad():
        for start, end in ((0, 5), (5, 6), (6, 7), (7, 9)):
            output = both.ours(tokens[:, start:end], attention_mask=mask[:, :end],
                               position_ids=positions[:, start:end], past_key_values=cache)
            seen.append(output.logits)
        logits = torch.cat(seen, 1)
        for row in range(3):
            real = mask[row].bool()
            if "dynamic" in case or "longrope" in case:  # scaled by the longest text of the batch
                continue
            close(logits[row][real], both.theirs(tokens[row][real][None]).logits[0])


@pytest.mark.parametrize("case", SEQ2SEQ, ids=ids)
def test_encoder_decoder_steps(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    given = both.inputs("right")
    tokens = given.pop("decoder_input_ids")
    with torch.no_grad():
        whole = both.theirs(**given, decoder_input_ids=tokens).logits
        encoded = both.ours.get_encoder()(**given)
        cache: Any = None
        seen = []
        for start, end in ((0, 1), (1, 3), (3, 4), (4, 6)):
            output = both.ours(encoder_outputs=encoded, attention_mask=given["attention_mask"],
                               decoder_input_ids=tokens[:, start:end], past_key_values=cache)
            cache = output.past_key_values
            seen.append(output.logits)
        close(torch.cat(seen, 1), whole)


@pytest.mark.parametrize("case", [("bert", "LMHeadModel"), ("roberta", "ForCausalLM")], ids=ids)
def test_encoders_as_decoders(case: tuple[str, str]) -> None:
    both = fresh(*case, is_decoder=True)
    tokens = both.inputs()["input_ids"]
    with torch.no_grad():
        close(_stepwise(both.ours, tokens, (4, 1, 3, 1), Cache()), both.theirs(tokens).logits)


@pytest.mark.parametrize("case", [case for case in DECODERS + SEQ2SEQ if case[2] == "base"],
                         ids=ids)
def test_legacy_tuples(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    first, rest = _split(both, both.inputs(), 4)
    with torch.no_grad():
        past = both.ours(**first).past_key_values
        again = copy.deepcopy(past)
        old = tuple(tuple(tensor.clone() for tensor in layer) for layer in past)
        assert len(past) == len(old) == len(past.to_legacy_cache())
        assert past.get_seq_length() == 4
        if case[0] != "mistral":  # theirs forgets what is outside of the window
            assert [tuple(tensor.shape) for tensor in old[0]] == _their_shapes(both, first)
        wanted = both.ours(**rest, past_key_values=past).logits
        close(both.ours(**rest, past_key_values=old).logits, wanted, 1e-6)
        close(both.ours(**rest, past_key_values=again).logits, wanted, 1e-6)


@pytest.mark.parametrize("case", [case for case in DECODERS + SEQ2SEQ if case[2] == "base"],
                         ids=ids)
def test_reorder_and_crop(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    given = both.inputs()
    first, rest = _split(both, given, 4)
    with torch.no_grad():
        cache = both.ours(**first).past_key_values
        cache.reorder(torch.tensor([1, 0, 1]))
        index = torch.tensor([1, 0, 1])
        turned = {name: value[index] if isinstance(value, Tensor) else value
                  for name, value in rest.items()}
        if both.encdec:
            turned["encoder_outputs"] = (rest["encoder_outputs"][0][index],)
        got = both.ours(**turned, past_key_values=cache).logits
        whole = both.ours(**given).logits[:, 4:][index]
        close(got, whole)
        cache.crop(4)
        assert cache.length == 4
        close(both.ours(**turned, past_key_values=cache).logits, whole)
        cache.crop(-2)
        assert cache.get_seq_length() == got.shape[1] + 4 - 2


@pytest.mark.parametrize("kind", ["mistral", "qwen2"])
def test_window_shorter_than_the_text(kind: str) -> None:
    both = pair(kind, "ForCausalLM", "sliding" if kind == "qwen2" else "base")
    tokens = both.inputs(length=24)["input_ids"]
    with torch.no_grad():
        whole = both.theirs(tokens).logits
        close(both.ours(tokens).logits, whole)
        close(_stepwise(both.ours, tokens, (7, 1, 5, 1, 1, 9), Cache()), whole)
        full = pair(kind, "ForCausalLM", "no_window") if kind == "mistral" else None
        assert full is None or full.ours(tokens).logits.isfinite().all()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_gradients_flow_through_a_cache(kind: str) -> None:
    both = fresh(kind, TINY[kind].lm)
    tokens = both.inputs()["input_ids"]
    both.ours(tokens).logits[:, 5:].square().sum().backward()
    wanted = {name: parameter.grad.clone() for name, parameter in both.ours.named_parameters()}
    both.ours.zero_grad()
    past = both.ours(tokens[:, :5], use_cache=True).past_key_values
    both.ours(tokens[:, 5:], past_key_values=past).logits.square().sum().backward()
    for name, parameter in both.ours.named_parameters():
        close(parameter.grad, wanted[name], 1e-4)


def test_no_cache_where_it_is_not_wanted() -> None:
    both = pair("llama", "ForCausalLM")
    tokens = both.inputs()["input_ids"]
    with torch.no_grad():
        assert both.ours(tokens, use_cache=False).past_key_values is None
        assert "past_key_values" not in both.ours(tokens, use_cache=False)
        assert len(both.ours(tokens).past_key_values) == 2


def _stepwise(model: Any, tokens: Tensor, steps: tuple[int, ...], cache: Any) -> Tensor:
    start, seen = 0, []
    for step in steps:
        output = model(tokens[:, start : start + step], past_key_values=cache, use_cache=True)
        assert output.past_key_values is cache
        seen.append(output.logits)
        start += step
    return torch.cat(seen, 1)


def _split(both: Pair, given: dict[str, Any], at: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs before a position and from it on."""
    if not both.encdec:
        return ({"input_ids": given["input_ids"][:, :at]},
                {"input_ids": given["input_ids"][:, at:]})
    with torch.no_grad():
        encoded = both.ours.get_encoder()(given["input_ids"])
    tokens = given["decoder_input_ids"]
    return ({"encoder_outputs": encoded, "decoder_input_ids": tokens[:, :at]},
            {"encoder_outputs": encoded, "decoder_input_ids": tokens[:, at:]})


def _their_shapes(both: Pair, first: dict[str, Any]) -> list[tuple[int, ...]]:
    past = both.theirs(**first).past_key_values
    own = past.self_attention_cache if both.encdec else past
    shapes = [tuple(own.layers[0].keys.shape), tuple(own.layers[0].values.shape)]
    if both.encdec:
        cross = past.cross_attention_cache.layers[0]
        shapes += [tuple(cross.keys.shape), tuple(cross.values.shape)]
    return shapes
