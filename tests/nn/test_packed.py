"""Positions that start anew are several sequences in a row: none sees another."""

from __future__ import annotations

import pytest
import torch

from enfold import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

SIZES = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 2}


@pytest.mark.parametrize("make", [
    lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=3))])
@pytest.mark.parametrize("use_cache", [False, True])
def test_sequences_in_a_row_are_as_alone(make, use_cache):
    torch.manual_seed(0)
    model = make().eval()
    rows = [torch.randint(0, 50, (1, length)) for length in (5, 1, 7)]
    positions = torch.cat([torch.arange(row.shape[1]) for row in rows])[None]
    with torch.no_grad():
        whole = model(torch.cat(rows, 1), position_ids=positions, use_cache=use_cache).logits
        alone = torch.cat([model(row).logits for row in rows], 1)
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)


def test_plain_positions_are_one_sequence():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    ids = torch.randint(0, 50, (2, 6))
    with torch.no_grad():
        given = model(ids, position_ids=torch.arange(6)[None].expand(2, 6)).logits
        torch.testing.assert_close(given, model(ids).logits)
