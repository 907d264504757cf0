"""Sampling: the distribution, seeds, and the scores of what was chosen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from enfold.generate import compute_transition_scores
from tests.generate.conftest import SEQ2SEQ, TINY, Pair, prompts


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": 8, "temperature": 1.4},
                                     {"top_p": 0.8}, {"min_p": 0.05}], ids=str)
def test_tokens_follow_the_distribution(pairs: dict[str, Pair], options: dict[str, Any]) -> None:
    count = 4000
    options = {"do_sample": True, "max_new_tokens": 1, "eos_token_id": None, "top_k": 0} | options
    found = pairs["llama"].ours.generate(
        prompts(1),
        num_return_sequences=count,
        seed=0,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    likely = found.scores[0][0].softmax(-1).double()
    drawn = torch.bincount(found.sequences[:, -1], minlength=41)
    assert int(drawn[likely == 0].sum()) == 0
    common = likely * count >= 5
    rest = torch.tensor([float(likely[~common].sum()), float(drawn[~common].sum())])
    expected = [*(likely[common] * count).tolist(), float(rest[0]) * count]
    observed = [*drawn[common].tolist(), float(rest[1])]
    if expected[-1] < 5:
        expected, observed = expected[:-1], observed[:-1]
    expected = [value * sum(observed) / sum(expected) for value in expected]
    assert chisquare(observed, expected).pvalue > 1e-4


def test_same_distribution_as_the_reference(pairs: dict[str, Pair]) -> None:
    options = {"do_sample": True, "max_new_tokens": 3, "num_return_sequences": 3000, "top_k": 6}
    torch.manual_seed(5)
    theirs = pairs["gpt2"].hf.generate(prompts(1), **options)[:, -1]
    ours = pairs["gpt2"].ours.generate(prompts(1), seed=6, **options)[:, -1]
    table = torch.stack([torch.bincount(row, minlength=41) for row in (ours, theirs)])
    table = table[:, table.sum(0) >= 10]
    assert chi2_contingency(table.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("beams", [1, 3])
def test_seeds(pairs: dict[str, Pair], beams: int) -> None:
    def text(**source: Any) -> list[list[int]]:
        return model.generate(prompts(), do_sample=True, max_new_tokens=8, num_beams=beams,
                              top_k=0, temperature=3.0, **source).tolist()

    model = pairs["llama"].ours
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert text(seed=1) == text(seed=1) != text(seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    generator = torch.Generator().manual_seed(1)
    assert text(generator=generator) == text(seed=1) != text(generator=generator)
    assert text() == text(seed=1)  # the global generator was seeded with 1 too


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return_sequences": 2},
                                     {"do_sample": True, "num_return_sequences": 2}], ids=str)
@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("normalize", [False, True])
def test_transition_scores(pairs: dict[str, Pair], family: str, options: dict[str, Any],
                           normalize: bool) -> None:
    pair = pairs[family]
    found = pair.ours.generate(prompts(), max_new_tokens=7, return_dict_in_generate=True,
                               output_scores=True, **options)
    arguments = (found.sequences, found.scores, found.get("beam_indices"), normalize)
    ours, theirs = (call(*arguments)
                    for call in (compute_transition_scores, pair.hf.compute_transition_scores))
    torch.testing.assert_close(ours, theirs)
    if "num_beams" in options and not normalize and family in SEQ2SEQ:
        length = (found.beam_indices >= 0).sum(1)
        torch.testing.assert_close(ours.sum(1) / length, found.sequences_scores)


def test_bfloat16_scores_are_in_single_precision(pairs: dict[str, Pair], tmp_path: Any) -> None:
    pairs["llama"].ours.save_pretrained(tmp_path)
    model = type(pairs["llama"].ours).from_pretrained(tmp_path, dtype=torch.bfloat16)
    found = model.generate(prompts(), max_new_tokens=2, return_dict_in_generate=True,
                           output_scores=True, output_logits=True)
    assert {t.dtype for t in (*found.scores, *found.logits)} == {torch.float32}
    assert model.generate(prompts(), max_new_tokens=2).tolist() == found.sequences.tolist()
