"""Wrong uses, and exactly what is said about each."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from enfold.errors import ArgumentError, GenerationError
from enfold.generate import GenerationConfig, TextStreamer
from enfold.generate.stopping import Halt, StoppingCriteriaList
from tests.generate.conftest import Pair, prompts

IDS = prompts(2, 5)
SAMPLE = {"do_sample": True}
EFFECT = "has no effect with"
DROP = "Do: set do_sample=True to sample, or leave {} out"
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"num_return_sequences": 2},
        "num_return_sequences=2 with num_beams=1 and do_sample=False: there "
        "are only 1 different sequences. Do: set num_beams to at least 2, or do_sample=True with "
        "num_beams=1",
    ),
    (
        {"num_return_sequences": 4, "num_beams": 3, "do_sample": True},
        "num_return_sequences=4 with "
        "num_beams=3 and do_sample=True: there are only 3 different sequences. "
        "Do: set num_beams to at "
        "least 4, or do_sample=True with num_beams=1",
    ),
    ({"max_new_tokens": 0}, "max_new_tokens=0, expected a whole number of at least 1"),
    ({"max_new_tokens": 2.5}, "max_new_tokens=2.5, expected a whole number of at least 1"),
    (
        {"max_new_tokens": None, "max_length": 5},
        "max_length=5 but the prompt has 5 tokens. "
        "Do: set max_new_tokens, which doesn't count the prompt",
    ),
    ({"max_length": 9}, "max_new_tokens=3 and max_length=9 both bound the length. Do: give one"),
    (
        {"min_length": 3, "min_new_tokens": 2},
        "min_new_tokens=2 and min_length=3 both bound the length. Do: give one",
    ),
    (
        {"min_length": 9},
        "min_length=9 asks for 9 tokens in all, the maximum is 8. "
        "Do: lower min_length or raise max_new_tokens",
    ),
    (
        {"min_new_tokens": 4},
        "min_new_tokens=4 asks for 9 tokens in all, the maximum is 8. "
        "Do: lower min_new_tokens or raise max_new_tokens",
    ),
    ({"num_beams": 0}, "num_beams=0, expected a whole number of at least 1"),
    ({"max_time": 0}, "max_time=0, expected a number above 0"),
    (
        {"temperature": 0.7},
        f"temperature=0.7 {EFFECT} do_sample=False. {DROP.format('temperature')}",
    ),
    ({"top_p": 0.7}, f"top_p=0.7 {EFFECT} do_sample=False. {DROP.format('top_p')}"),
    ({"top_k": 7}, f"top_k=7 {EFFECT} do_sample=False. {DROP.format('top_k')}"),
    (
        {"length_penalty": 2.0},
        f"length_penalty=2.0 {EFFECT} num_beams=1. Do: set num_beams above 1, or "
        "leave length_penalty out",
    ),
    (
        {"early_stopping": True},
        f"early_stopping=True {EFFECT} num_beams=1. Do: set num_beams above 1, "
        "or leave early_stopping out",
    ),
    (
        {"output_scores": True},
        f"output_scores=True {EFFECT} return_dict_in_generate=False. "
        "Do: set return_dict_in_generate=True, or leave output_scores out",
    ),
    (
        {"num_assistant_tokens": 4},
        f"num_assistant_tokens=4 {EFFECT} no assistant, and assisted "
        "generation is not implemented. Do: decode plainly: the tokens are the same, or leave "
        "num_assistant_tokens out",
    ),
    (
        SAMPLE | {"temperature": 0},
        "temperature=0 can't be sampled from. Do: set do_sample=False for the most likely tokens",
    ),
    (SAMPLE | {"temperature": -1.0}, "temperature=-1.0, expected a number of at least 0"),
    (SAMPLE | {"temperature": "warm"}, "temperature='warm', expected a number of at least 0"),
    (SAMPLE | {"top_k": -1}, "top_k=-1, expected a whole number of at least 0"),
    (SAMPLE | {"top_p": 1.5}, "top_p=1.5, expected a number from 0 to 1"),
    (SAMPLE | {"min_p": -0.1}, "min_p=-0.1, expected a number from 0 to 1"),
    (SAMPLE | {"typical_p": 0.0}, "typical_p=0.0, expected a number above 0, up to 1"),
    (SAMPLE | {"top_h": 2}, "top_h=2, expected a number above 0, up to 1"),
    (SAMPLE | {"epsilon_cutoff": 1.0}, "epsilon_cutoff=1.0, expected a number from 0, below 1"),
    ({"repetition_penalty": 0}, "repetition_penalty=0, expected a number above 0"),
    (
        {"encoder_repetition_penalty": -2.0},
        "encoder_repetition_penalty=-2.0, expected a number above 0",
    ),
    (
        {"no_repeat_ngram_size": -1},
        "no_repeat_ngram_size=-1, expected a whole number of at least 0",
    ),
    (
        {"bad_words_ids": []},
        "bad_words_ids=[], expected a non-empty list of non-empty lists of token ids",
    ),
    (
        {"bad_words_ids": [3, 4]},
        "bad_words_ids=[3, 4], expected a non-empty list of non-empty lists of token ids",
    ),
    (
        {"bad_words_ids": [[99]]},
        "bad_words_ids or sequence_bias name (99,), expected ids below 41, the "
        "vocabulary. Do: encode them with the model's tokenizer",
    ),
    (
        {"sequence_bias": {}},
        "sequence_bias={}, expected {(id, ...): bias} or [[[id, ...], bias], ...], not empty",
    ),
    ({"suppress_tokens": ["x"]}, "suppress_tokens=['x'], expected a list of token ids"),
    (
        {"suppress_tokens": [7], "forced_eos_token_id": 7},
        "forced_eos_token_id=7 is also in "
        "suppress_tokens, so that no token is left. Do: take it out of one of them",
    ),
    (
        {"exponential_decay_length_penalty": 3},
        "exponential_decay_length_penalty=3, expected (start in new tokens, factor above 0)",
    ),
    (
        {"exponential_decay_length_penalty": (3, 1.1), "eos_token_id": None},
        "exponential_decay_length_penalty has no effect without an end. "
        "Do: set eos_token_id, or leave it "
        "out",
    ),
    (
        {"early_stopping": "soon", "num_beams": 2},
        "early_stopping='soon', expected True, False or 'never'",
    ),
    (
        {"stop_strings": ["\n"]},
        "stop_strings=['\\n'] without a tokenizer. Do: pass tokenizer=, the one "
        "that made the prompt",
    ),
    (
        {"stop_strings": [""]},
        "stop_strings=[''], expected a string or a list of strings, none of them empty",
    ),
    (
        {"prefix_allowed_tokens_fn": lambda *_: []},
        "prefix_allowed_tokens_fn allows no token for prompt "
        "0 after 5 tokens. Do: return at least the end-of-sequence token",
    ),
    (
        {"num_beams": 2, "streamer": TextStreamer(None)},
        "a streamer with num_beams=2: beams know their "
        "tokens at the end only. Do: set num_beams=1, or leave streamer out",
    ),
    (
        {"seed": 1},
        "seed has no effect with do_sample=False. Do: set do_sample=True to sample, or leave "
        "seed out",
    ),
    (SAMPLE | {"seed": 1, "generator": torch.Generator()}, "got seed and generator. Do: pass one"),
    (
        {"generation_config": {"top_k": 1}},
        "generation_config is a dict, expected a GenerationConfig. Do: GenerationConfig(**values)",
    ),
    ({"inputs": IDS}, "inputs and input_ids are the same thing, got both. Do: pass one"),
    (
        {"input_ids": {"input_ids": IDS}},
        "input_ids is a dict, expected a tensor [batch, length]. Do: generate(**inputs)",
    ),
    (
        {"input_ids": [[1, 2]]},
        "input_ids is a list, expected a tensor [batch, length]. "
        "Do: tokenizer(texts, return_tensors='pt')",
    ),
    (
        {"input_ids": IDS[0]},
        "input_ids has shape (5,), expected [batch, length]. Do: input_ids[None] for one prompt",
    ),
    (
        {"input_ids": IDS[:, :0]},
        "input_ids is empty, shape (2, 0). Do: pass at least one token, or no "
        "prompt at all to start from bos_token_id",
    ),
    (
        {"input_ids": IDS.float()},
        "input_ids is of torch.float32, expected torch.long. Do: pass token "
        "ids; embeddings go into inputs_embeds",
    ),
    (
        {"input_ids": IDS + 38},
        f"input_ids holds {int(IDS.max()) + 38}, expected ids from 0 to 40. "
        "Do: use the model's own tokenizer, or resize the embeddings to it",
    ),
    (
        {"input_ids": IDS - 9},
        f"input_ids holds {int(IDS.min()) - 9}, expected ids from 0 to 40. "
        "Do: use the model's own tokenizer, or resize the embeddings to it",
    ),
    (
        {"input_ids": None, "bos_token_id": None},
        "no prompt, and the model has no bos_token_id to start "
        "from. Do: pass input_ids, or bos_token_id",
    ),
    (
        {"attention_mask": torch.ones(2, 4)},
        "attention_mask has shape (2, 4), expected (2, 5), that of "
        "the prompt. Do: pass on the tokenizer's attention_mask",
    ),
    (
        {"attention_mask": torch.tensor([[1] * 5, [0] * 5])},
        "prompt 1 is empty, its attention_mask is all "
        "zero. Do: leave it out, or start it with the bos token",
    ),
    (
        {"input_ids": None, "inputs_embeds": torch.zeros(1, 2, 16), "use_cache": False},
        "inputs_embeds "
        "with use_cache=False: the new tokens have no embeddings to be read again. "
        "Do: leave use_cache "
        "out",
    ),
    (
        {
            "input_ids": None,
            "inputs_embeds": torch.zeros(1, 2, 16),
            "encoder_no_repeat_ngram_size": 2,
        },
        "encoder_no_repeat_ngram_size needs input_ids, got embeddings or the encoder's output. "
        "Do: pass "
        "input_ids too, or leave encoder_no_repeat_ngram_size out",
    ),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda v: " ".join(v)[:60])
@pytest.mark.filterwarnings("error")
def test_messages(pairs: dict[str, Pair], options: dict[str, Any], message: str) -> None:
    options = {"input_ids": IDS, "max_new_tokens": 3} | options
    with pytest.raises(GenerationError) as caught:
        pairs["llama"].ours.generate(**options)
    assert str(caught.value) == f"generate: {message}"


SEQ2SEQ: list[tuple[dict[str, Any], str]] = [
    (
        {"input_ids": None},
        "an encoder-decoder needs input_ids, inputs_embeds or encoder_outputs. "
        "Do: generate(**tokenizer(text, return_tensors='pt'))",
    ),
    ({"inputs_embeds": torch.zeros(2, 5, 16)}, "got input_ids and inputs_embeds. Do: pass one"),
    (
        {"decoder_start_token_id": None, "bos_token_id": None},
        "the model has neither "
        "decoder_start_token_id nor bos_token_id. Do: pass decoder_start_token_id",
    ),
    (
        {"decoder_start_token_id": [1, 2, 3]},
        "decoder_start_token_id has 3 ids for 2 prompts. Do: pass one, or one per prompt",
    ),
    (
        {"decoder_input_ids": torch.tensor([[99], [1]])},
        "decoder_input_ids holds 99, expected ids from 0 "
        "to 40. Do: use the model's own tokenizer, or resize the embeddings to it",
    ),
]


@pytest.mark.parametrize(("options", "message"), SEQ2SEQ)
def test_messages_of_encoder_decoders(pairs: dict[str, Pair], options: Any, message: str) -> None:
    with pytest.raises(GenerationError) as caught:
        pairs["t5"].ours.generate(**{"input_ids": IDS, "max_new_tokens": 3} | options)
    assert str(caught.value) == f"generate: {message}"


LATER: list[tuple[dict[str, Any], str]] = [
    (
        {"assistant_model": 1},
        "assistant_model is not implemented. Do: leave it out: plain decoding gives "
        "the same tokens",
    ),
    (
        {"prompt_lookup_num_tokens": 3},
        "prompt_lookup_num_tokens=3 is not implemented. Do: leave it out: "
        "plain decoding gives the same tokens",
    ),
    (
        {"penalty_alpha": 0.6, "top_k": 4},
        "penalty_alpha=0.6 is not implemented. Do: sample with "
        "do_sample=True and a repetition_penalty",
    ),
    (
        {"num_beam_groups": 2, "num_beams": 4},
        "num_beam_groups=2 is not implemented. Do: use beam sampling: num_beams and do_sample=True",
    ),
    (
        {"force_words_ids": [[3]]},
        "force_words_ids=[[3]] is not implemented. Do: use "
        "prefix_allowed_tokens_fn or sequence_bias",
    ),
    (
        {"constraints": [1]},
        "constraints=[1] is not implemented. Do: use prefix_allowed_tokens_fn or sequence_bias",
    ),
    (
        {"guidance_scale": 1.5},
        "guidance_scale=1.5 is not implemented. Do: pass a LogitsProcessor that "
        "mixes in the unconditional scores",
    ),
    (
        {"cache_implementation": "quantized"},
        "cache_implementation='quantized' is not implemented. "
        "Do: leave it out; the cache is preallocated and grows by itself",
    ),
    (
        {"dola_layers": "high"},
        "dola_layers='high' is not implemented. Do: use greedy search with repetition_penalty=1.2",
    ),
    (
        {"negative_prompt_ids": IDS},
        "negative_prompt_ids is not implemented. Do: pass a LogitsProcessor "
        "that mixes in the unconditional scores",
    ),
]


@pytest.mark.parametrize(("options", "message"), LATER)
def test_modes_that_are_not_there_yet(pairs: dict[str, Pair], options: Any, message: str) -> None:
    with pytest.raises(NotImplementedError) as caught:
        pairs["llama"].ours.generate(IDS, max_new_tokens=3, **options)
    assert str(caught.value) == f"generate: {message}"


def test_unknown_arguments(pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours
    with pytest.raises(ArgumentError) as caught:
        model.generate(IDS, max_new_token=3)
    assert str(caught.value).startswith("generate: unknown argument 'max_new_token' (nearest: "
                                        "'max_new_tokens', 'min_new_tokens'")
    with pytest.raises(ArgumentError) as caught:
        GenerationConfig(temprature=1)
    assert str(caught.value) == ("GenerationConfig: unknown argument 'temprature' (nearest: "
                                 "'temperature')")


def test_a_cache_that_holds_the_whole_prompt(pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours
    past = model.generate(IDS, max_new_tokens=4, return_dict_in_generate=True).past_key_values
    with pytest.raises(GenerationError) as caught:
        model.generate(IDS, past_key_values=past, max_new_tokens=4)
    assert str(caught.value) == (
        f"generate: past_key_values holds {past.get_seq_length()} tokens and the prompt "
        "has 5: nothing "
        "new to read. Do: pass the whole text so far, the new part included"
    )


def test_the_default_length_is_said(pairs: dict[str, Pair]) -> None:
    with pytest.warns(UserWarning, match="^generate: stops after 20 new tokens, because neither "
                      "max_new_tokens nor max_length is set. Do: pass max_new_tokens$"):
        found = pairs["llama"].ours.generate(IDS, eos_token_id=None)
    assert found.shape == (2, 25)


def test_a_gpu_that_is_looked_at_now_and_then() -> None:
    """Steps made after the last row was finished are counted, to be taken back."""
    halt = Halt(2, 100, [2], 0, StoppingCriteriaList(), torch.device("cpu"), every=4)
    ids, stops = torch.zeros(2, 1), []
    for tokens in ([5, 2], [2, 7], [7, 7], [7, 7]):
        held = halt.padded(torch.tensor(tokens))
        stops.append(halt(ids, held))
    assert stops == [False, False, False, True]
    assert halt.overrun() == 2
    assert held.tolist() == [0, 0]
