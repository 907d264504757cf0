"""A batch of prompts of different lengths gives what each of them gives alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from enfold.errors import GenerationError
from tests.generate.conftest import DECODERS, TINY, Pair, prompts

LENGTHS = (7, 3, 5, 1)


def ragged(side: str, pad: int = 0) -> tuple[Any, Any]:
    """Ids and mask [4, 7] of prompts of LENGTHS tokens, padded on one side."""
    ids, mask = prompts(4).clone(), torch.zeros(4, 7, dtype=torch.long)
    for row, length in enumerate(LENGTHS):
        text = slice(7 - length, 7) if side == "left" else slice(0, length)
        words = ids[row, :length].clone()
        ids[row] = pad
        ids[row, text] = words
        mask[row, text] = 1
    return ids, mask


def singles(model: Any, family: str, **options: Any) -> list[list[int]]:
    """The new tokens of each prompt generated alone, without the padding after their end."""
    found = []
    for row, length in enumerate(LENGTHS):
        one = prompts(4)[row : row + 1, :length]
        new = model.generate(one, **options)[0, length if family in DECODERS else 1 :].tolist()
        found.append(new[: new.index(2) + 1] if 2 in new else new)
    return found


def together(rows: Any, start: int) -> list[list[int]]:
    new = [row[start:].tolist() for row in rows]
    return [row[: row.index(2) + 1] if 2 in row else row for row in new]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("options", [
    {}, {"num_beams": 3}, {"use_cache": False}, {"repetition_penalty": 1.3},
    {"pad_token_id": 2}, {"no_repeat_ngram_size": 3, "min_new_tokens": 4},
], ids=str)
def test_ragged_prompts(pairs: dict[str, Pair], family: str, side: str, options: Any) -> None:
    model, options = pairs[family].ours, {"max_new_tokens": 10} | options
    ids, mask = ragged(side, options.get("pad_token_id", 0))
    found = model.generate(ids, attention_mask=mask, **options)
    start = 7 if family in DECODERS else 1
    assert together(found, start) == singles(model, family, **options)


@pytest.mark.parametrize("family", TINY)
def test_the_mask_is_read_off_the_padding(pairs: dict[str, Pair], family: str) -> None:
    ids, _ = ragged("right")
    found = pairs[family].ours.generate(ids, max_new_tokens=10)
    start = 7 if family in DECODERS else 1
    assert together(found, start) == singles(pairs[family].ours, family, max_new_tokens=10)


@pytest.mark.parametrize("family", DECODERS)
def test_rows_come_back_padded_on_the_left(pairs: dict[str, Pair], family: str) -> None:
    ids, mask = ragged("right")
    left, _ = ragged("left")
    found = pairs[family].ours.generate(ids, attention_mask=mask, max_new_tokens=2)
    assert found[:, :7].tolist() == left.tolist()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", DECODERS)
def test_ragged_embeddings(pairs: dict[str, Pair], family: str, side: str) -> None:
    model = pairs[family].ours
    ids, mask = ragged(side)
    embeds = model.get_input_embeddings()(ids).detach()
    found = model.generate(inputs_embeds=embeds, attention_mask=mask, max_new_tokens=10)
    assert together(found, 0) == singles(model, family, max_new_tokens=10)


@pytest.mark.parametrize("family", DECODERS)
def test_a_ragged_chat_goes_on_from_its_cache(pairs: dict[str, Pair], family: str) -> None:
    model = pairs[family].ours
    ids, mask = ragged("right")
    first = model.generate(ids, attention_mask=mask, max_new_tokens=4, eos_token_id=None,
                           return_dict_in_generate=True)
    text = torch.cat((first.sequences, prompts(4, 3, seed=4)), 1)
    whole = torch.cat((ragged("left")[1], torch.ones(4, 7, dtype=torch.long)), 1)
    fresh = model.generate(text, attention_mask=whole, max_new_tokens=6)
    held = model.generate(text, attention_mask=whole, max_new_tokens=6,
                          past_key_values=first.past_key_values)
    assert held.tolist() == fresh.tolist()


def test_new_tokens_padded_after_a_cache(pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours
    first = model.generate(prompts(2), max_new_tokens=2, return_dict_in_generate=True)
    text = torch.cat((first.sequences, prompts(2, 3)), 1)
    mask = torch.ones_like(text)
    mask[0, -1] = 0
    with pytest.raises(GenerationError) as caught:
        model.generate(text, attention_mask=mask, past_key_values=first.past_key_values)
    assert str(caught.value) == (
        "generate: the new tokens are padded on the right, after the tokens in past_key_values. "
        "Do: padding_side='left'")


def test_token_types_grow_with_the_text(pairs: dict[str, Pair]) -> None:
    pair, (ids, mask) = pairs["gpt2"], ragged("left")
    types = prompts(4, 7, seed=8) * mask
    ours, theirs = pair.both(ids, attention_mask=mask, token_type_ids=types, max_new_tokens=6)
    assert ours.tolist() == theirs.tolist()


def test_an_end_token_as_padding_is_not_guessed_about(pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours
    for side in ("left", "right"):
        ids, _ = ragged(side, pad=2)
        with pytest.raises(GenerationError) as caught:
            model.generate(ids, max_new_tokens=2, pad_token_id=2)
        assert str(caught.value) == (
            "generate: the batch looks padded with 2, which is an end token too, and there is no "
            "attention_mask. Do: pass on the tokenizer's attention_mask")


def test_an_end_token_inside_a_prompt_is_text(pairs: dict[str, Pair]) -> None:
    """A chat of several turns has ends in it, and one prompt has no reason to be padded."""
    one = torch.tensor([[2, 5, 2, 9, 2]])
    ours, theirs = pairs["llama"].both(one, pad_token_id=2, max_new_tokens=4)
    assert ours.tolist() == theirs.tolist()
    several = torch.tensor([[5, 2, 9], [7, 8, 9]])
    ours, theirs = pairs["llama"].both(several, pad_token_id=2, max_new_tokens=4)
    assert ours.tolist() == theirs.tolist()
