"""Token for token what transformers generates, from the same weights and the same seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.generate.conftest import DECODERS, SEQ2SEQ, TINY, VOCAB, Pair, prompts

MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "no cache": {"use_cache": False},
    "no cache, beams": {"use_cache": False, "num_beams": 3},
    "several ends": {"eos_token_id": [2, 5, 11]},
    "no end": {"eos_token_id": None},
    "min_new_tokens": {"min_new_tokens": 8},
    "min_length": {"min_length": 10},
    "beams": {"num_beams": 4},
    "beams, all": {"num_beams": 3, "num_return_sequences": 3, "early_stopping": True},
    "beams, never": {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0},
    "beams, short": {"num_beams": 4, "length_penalty": -1.0, "num_return_sequences": 2},
    "beams, several ends": {"num_beams": 3, "eos_token_id": [2, 7], "num_return_sequences": 2},
    "beams, processors": {"num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.4},
    "beams, min_length": {"num_beams": 3, "min_new_tokens": 6},
    "sampling": {"do_sample": True},
    "sampling, copies": {"do_sample": True, "num_return_sequences": 3, "top_k": 5},
    "sampling, all warpers": {"do_sample": True, "temperature": 1.7, "top_k": 20, "top_p": 0.9,
                              "min_p": 0.01, "typical_p": 0.95, "epsilon_cutoff": 1e-3,
                              "eta_cutoff": 1e-3},
    "sampling, top_h": {"do_sample": True, "top_h": 0.6, "top_k": 0},
    "sampling, beams": {"do_sample": True, "num_beams": 3, "temperature": 1.3},
    "repetition_penalty": {"repetition_penalty": 1.5},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "bad_words_ids": {"bad_words_ids": [[5], [7, 9], [11, 4, 6], [2]]},
    "sequence_bias": {"sequence_bias": {(5,): 3.0, (7, 9): -4.0}},
    "suppress_tokens": {"suppress_tokens": [4, 9, 30]},
    "begin_suppress_tokens": {"begin_suppress_tokens": list(range(20))},
    "forced_eos_token_id": {"forced_eos_token_id": 9},
    "exponential decay": {"exponential_decay_length_penalty": (3, 1.8)},
    "encoder penalties": {"encoder_repetition_penalty": 1.5, "encoder_no_repeat_ngram_size": 2},
    "remove and renormalize": {"remove_invalid_values": True, "renormalize_logits": True},
    "max_length": {"max_new_tokens": None, "max_length": 13},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", TINY)
def test_tokens(pairs: dict[str, Pair], family: str, mode: str) -> None:
    options = {"max_new_tokens": 10} | MODES[mode]
    found = []
    for generate in (pairs[family].ours.generate, pairs[family].hf.generate):
        torch.manual_seed(3)
        found.append(generate(prompts(), **options))
    assert found[0].tolist() == found[1].tolist()


def test_families_say_something(pairs: dict[str, Pair]) -> None:
    """Else equal tokens would show little."""
    for family, pair in pairs.items():
        new = pair.ours.generate(prompts(4), max_new_tokens=16)[:, 7 if family in DECODERS else 1 :]
        assert len(new.unique()) > 8
        assert bool((new == 2).any())  # some of them end


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("beams", [1, 3])
def test_padded_prompts(pairs: dict[str, Pair], family: str, beams: int) -> None:
    ids, mask = prompts(), torch.ones(3, 7, dtype=torch.long)
    padding = slice(0, 3) if family in DECODERS else slice(4, 7)  # the sides the reference needs
    mask[1, padding] = 0
    ids[1, padding] = 0
    options = {"max_new_tokens": 9, "num_beams": beams, "repetition_penalty": 1.2}
    ours, theirs = pairs[family].both(ids, attention_mask=mask, **options)
    assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("family", SEQ2SEQ)
@pytest.mark.parametrize("beams", [1, 3])
def test_decoder_prompts(pairs: dict[str, Pair], family: str, beams: int) -> None:
    start = prompts(3, 2, seed=5)
    ours, theirs = pairs[family].both(prompts(), decoder_input_ids=start, num_beams=beams,
                                      max_new_tokens=8)
    assert ours.tolist() == theirs.tolist()
    assert ours[:, 1:3].tolist() == start.tolist()
    encoded = pairs[family].hf.get_encoder()(prompts())
    again = pairs[family].ours.generate(encoder_outputs=encoded, decoder_input_ids=start,
                                        num_beams=beams, max_new_tokens=8)
    assert again.tolist() == ours.tolist()


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_forced_bos(pairs: dict[str, Pair], family: str) -> None:
    ours, theirs = pairs[family].both(prompts(), forced_bos_token_id=17, max_new_tokens=8,
                                      num_beams=2, begin_suppress_tokens=[3, 4])
    assert ours.tolist() == theirs.tolist()
    assert ours[:, 1].tolist() == [17] * 3


@pytest.mark.parametrize("family", TINY)
def test_embeddings(pairs: dict[str, Pair], family: str) -> None:
    pair = pairs[family]
    embeds = pair.hf.get_input_embeddings()(prompts()).detach()
    for options in (
        {"max_new_tokens": 8},
        {"max_length": 17},
        {"max_new_tokens": 6, "num_beams": 3},
    ):
        ours, theirs = pair.both(inputs_embeds=embeds, **options)
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("family", DECODERS)
def test_no_prompt(pairs: dict[str, Pair], family: str) -> None:
    ours, theirs = pairs[family].both(max_new_tokens=8)
    assert ours.tolist() == theirs.tolist()
    assert ours.shape == (1, 9)


def test_position_ids_and_masked_middle(pairs: dict[str, Pair]) -> None:
    places = torch.arange(7).expand(3, 7) + 4
    ours, theirs = pairs["gpt2"].both(prompts(), position_ids=places, max_new_tokens=8)
    assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("family", TINY)
def test_prefix_allowed_tokens(pairs: dict[str, Pair], family: str) -> None:
    def allowed(prompt: int, ids: Any) -> list[int]:
        return [3 + prompt, (int(ids[-1]) * 7 + 3) % VOCAB, 2]

    for options in ({}, {"num_beams": 3}):
        ours, theirs = pairs[family].both(prompts(), prefix_allowed_tokens_fn=allowed,
                                          max_new_tokens=8, **options)
        assert ours.tolist() == theirs.tolist()


FIELDS = ("sequences", "scores", "logits", "sequences_scores", "beam_indices")
SEEN = ("attentions", "hidden_states", "encoder_attentions", "encoder_hidden_states",
        "decoder_attentions", "cross_attentions", "decoder_hidden_states")


def flat(value: Any) -> list[Any]:
    """The tensors in nested tuples."""
    return [value] if isinstance(value, torch.Tensor) else [x for part in value for x in flat(part)]


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return_sequences": 2},
                                     {"do_sample": True, "num_return_sequences": 2}])
def test_details(pairs: dict[str, Pair], family: str, options: dict[str, Any]) -> None:
    options = options | {
        "max_new_tokens": 6,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "output_hidden_states": True,
    }
    found = []
    for generate in (pairs[family].ours.generate, pairs[family].hf.generate):
        torch.manual_seed(0)
        found.append(generate(prompts(), **options))
    ours, theirs = found
    assert [k for k in ours if k != "past_key_values"] == [
        k for k in theirs if k != "past_key_values"
    ]
    assert type(ours).__name__ == type(theirs).__name__
    for name in (*FIELDS, *SEEN):
        if theirs.get(name) is None:
            assert ours.get(name) is None
            continue
        assert len(ours[name]) == len(theirs[name])
        for mine, other in zip(flat(ours[name]), flat(theirs[name]), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    assert ours.past_key_values.get_seq_length() == theirs.past_key_values.get_seq_length()


@pytest.mark.parametrize("family", DECODERS)
def test_a_chat_goes_on_from_its_cache(pairs: dict[str, Pair], family: str) -> None:
    ours = pairs[family].ours
    first = ours.generate(prompts(1), max_new_tokens=5, eos_token_id=None,
                          return_dict_in_generate=True)
    text = torch.cat((first.sequences, prompts(1, 4, seed=9)), 1)
    fresh = ours.generate(text, max_new_tokens=6)
    held = ours.generate(text, past_key_values=first.past_key_values, max_new_tokens=6)
    assert held.tolist() == fresh.tolist()


@pytest.mark.parametrize("family", DECODERS)
def test_only_the_new_part_with_the_whole_mask(pairs: dict[str, Pair], family: str) -> None:
    ours = pairs[family].ours
    first = ours.generate(prompts(1), max_new_tokens=5, eos_token_id=None,
                          return_dict_in_generate=True)
    new = torch.cat((first.sequences[:, -1:], prompts(1, 4, seed=9)), 1)
    whole = torch.cat((first.sequences[:, :-1], new), 1)
    fresh = ours.generate(whole, max_new_tokens=6)
    held = ours.generate(new, attention_mask=torch.ones_like(whole), max_new_tokens=6,
                         past_key_values=first.past_key_values)
    assert held[:, 5:].tolist() == fresh[:, whole.shape[1] :].tolist()
