"""Each processor against the reference's of the same name, on random scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf

from enfold.generate import penalties, processors, warpers

V = 53
IDS = torch.randint(0, V, (4, 9), generator=torch.Generator().manual_seed(1)) % 11
SOURCE = torch.randint(0, V, (4, 12), generator=torch.Generator().manual_seed(2)) % 11
CASES: list[tuple[str, tuple[Any, ...]]] = [
    ("MinLengthLogitsProcessor", (10, [2, 5])),
    ("MinLengthLogitsProcessor", (9, [2])),
    ("MinNewTokensLengthLogitsProcessor", (7, 3, [2])),
    ("MinNewTokensLengthLogitsProcessor", (7, 2, 2)),
    ("TemperatureLogitsWarper", (0.7,)),
    ("TopKLogitsWarper", (5,)),
    ("TopKLogitsWarper", (500,)),
    ("TopPLogitsWarper", (0.8,)),
    ("TopPLogitsWarper", (0.0,)),
    ("MinPLogitsWarper", (0.1,)),
    ("TopHLogitsWarper", (0.4,)),
    ("TypicalLogitsWarper", (0.6,)),
    ("EpsilonLogitsWarper", (0.02,)),
    ("EtaLogitsWarper", (0.05,)),
    ("RepetitionPenaltyLogitsProcessor", (1.7,)),
    ("RepetitionPenaltyLogitsProcessor", (0.6, 4)),
    ("RepetitionPenaltyLogitsProcessor", (1.7, torch.tensor([0, 3, 8, 1]))),
    ("EncoderRepetitionPenaltyLogitsProcessor", (1.5, SOURCE)),
    ("NoRepeatNGramLogitsProcessor", (1,)),
    ("NoRepeatNGramLogitsProcessor", (2,)),
    ("NoRepeatNGramLogitsProcessor", (30,)),
    ("EncoderNoRepeatNGramLogitsProcessor", (2, SOURCE)),
    ("EncoderNoRepeatNGramLogitsProcessor", (2, SOURCE[0])),
    ("SequenceBiasLogitsProcessor", ({(3,): 2.0, (int(IDS[0, -1]), 7): -5.0, (1, 2, 3): 1.0},)),
    ("SequenceBiasLogitsProcessor", ([[[3], 2.0], [[4, 5], -1.0]],)),
    ("NoBadWordsLogitsProcessor", ([[3], [int(IDS[1, -1]), 8], [2]], [2])),
    ("ForcedBOSTokenLogitsProcessor", (4,)),
    ("ForcedEOSTokenLogitsProcessor", (10, [2, 3])),
    ("ForcedEOSTokenLogitsProcessor", (11, 2)),
    ("InfNanRemoveLogitsProcessor", ()),
    ("ExponentialDecayLengthPenalty", ((2, 1.3), [2, 6], 5)),
    ("LogitNormalization", ()),
    ("SuppressTokensLogitsProcessor", ([1, 6],)),
    ("SuppressTokensAtBeginLogitsProcessor", ([1, 6], 9)),
    ("SuppressTokensAtBeginLogitsProcessor", ([1, 6], 8)),
]


def find(name: str) -> Any:
    return next(getattr(m, name) for m in (processors, penalties, warpers) if hasattr(m, name))


@pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
@pytest.mark.parametrize("ids", [IDS, IDS[:, :1]], ids=["long", "short"])
def test_scores(name: str, arguments: tuple[Any, ...], ids: torch.Tensor) -> None:
    theirs = getattr(hf.generation.logits_process, name)(*arguments)
    ours = find(name)(*arguments)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.1, 1.0, 5.0):
        scores = torch.randn(4, V, generator=generator) * scale
        scores[0, :5] = -torch.inf
        before = scores.clone()
        torch.testing.assert_close(ours(ids, scores), theirs(ids, scores.clone()))
        assert torch.equal(scores, before)


@pytest.mark.parametrize("name", ["TopKLogitsWarper", "TopPLogitsWarper", "MinPLogitsWarper",
                                  "TypicalLogitsWarper", "EpsilonLogitsWarper", "EtaLogitsWarper"])
def test_min_tokens_to_keep(name: str) -> None:
    value = 1 if name == "TopKLogitsWarper" else 0.01
    options = {"min_tokens_to_keep": 3, "filter_value": -7.0}
    scores = torch.randn(4, V, generator=torch.Generator().manual_seed(4)) * 9
    theirs = getattr(hf.generation.logits_process, name)(value, **options)
    ours = find(name)(value, **options)(IDS, scores)
    torch.testing.assert_close(ours, theirs(IDS, scores))
    assert bool(((ours != -7.0).sum(1) >= 3).all())


def test_not_a_number_and_infinities() -> None:
    scores = torch.tensor([[float("nan"), float("inf"), -float("inf"), 1.0]])
    theirs = hf.generation.logits_process.InfNanRemoveLogitsProcessor()(IDS, scores)
    torch.testing.assert_close(processors.InfNanRemoveLogitsProcessor()(IDS, scores), theirs)


def test_prefix_that_earlier_processors_forbade() -> None:
    """The constraint wins over them, for the whole prompt."""
    scores = torch.full((4, V), -torch.inf)
    scores[2, 7] = 1.0
    for beams in (1, 2):
        made = hf.generation.logits_process.PrefixConstrainedLogitsProcessor(
            lambda *_: [7, 8], beams
        )
        ours = processors.PrefixConstrainedLogitsProcessor(lambda *_: [7, 8], beams)
        torch.testing.assert_close(ours(IDS, scores), made(IDS, scores))


def test_a_list_applies_all_in_order() -> None:
    chain = processors.LogitsProcessorList([warpers.TemperatureLogitsWarper(2.0),
                                            lambda ids, scores: scores + ids.shape[1]])
    assert chain(IDS, torch.full((4, V), 8.0))[0, 0] == 4.0 + 9
