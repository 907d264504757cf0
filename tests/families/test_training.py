"""Losses and gradients equal transformers', head by head and parameter by parameter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import enfold
from enfold.spec import (
    DoubleHeads,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    SequenceClassifier,
    Span,
    TokenClassifier,
)
from tests.families.pairs import (
    ARCHITECTURES,
    CASES,
    LANGUAGE,
    Pair,
    close,
    fresh,
    ids,
    pair,
)
from tests.families.tiny import TINY, VOCAB

BARE = ("Model", "EncoderModel")
HEADED = [case for case in CASES if case[1] not in BARE]
CLASSIFIERS = [case for case in ARCHITECTURES if case[1] == "ForSequenceClassification"]


def targets(both: Pair) -> dict[str, Tensor]:
    """Labels for the head of a pair, for the inputs of `Pair.inputs()`."""
    head, given = both.ours.head.spec, both.inputs()
    words = given.get("decoder_input_ids", given["input_ids"]).clone()
    words[..., :2] = -100
    if isinstance(head, MultipleChoice):
        return {"labels": torch.tensor([1, 0])}
    if isinstance(head, DoubleHeads):
        return {"labels": words, "mc_labels": torch.tensor([1, 0]),
                "mc_token_ids": torch.tensor([[8, 5], [3, 8]])}
    if isinstance(head, Span):
        return {"start_positions": torch.tensor([1, 50]), "end_positions": torch.tensor([4, 3])}
    if isinstance(head, SequenceClassifier):
        return {"labels": torch.tensor([2, 0])}
    if isinstance(head, NextSentence):
        return {"labels": torch.tensor([1, 0])}
    if isinstance(head, TokenClassifier):
        return {"labels": (words % 3).masked_fill(words < 0, -100)}
    if isinstance(head, MaskedLM) and head.sentence:
        return {"labels": words, "next_sentence_label": torch.tensor([0, 1])}
    return {"labels": words}


@pytest.mark.parametrize("case", HEADED, ids=ids)
def test_loss_and_gradients(case: tuple[str, str, str]) -> None:
    both = fresh(*case)
    given = both.inputs() | targets(both)
    same_gradients(both, both.ours(**given), both.theirs(**given))


@pytest.mark.parametrize("case", [(kind, suffix) for kind, suffix in ARCHITECTURES
                                  if suffix in BARE], ids=ids)
def test_gradients_of_hidden_states(case: tuple[str, str]) -> None:
    both = fresh(*case)
    given = both.inputs("right")
    ours, theirs = both.ours(**given), both.theirs(**given)
    for output in (ours, theirs):
        total = sum(value.square().mean() for value in output.values()
                    if isinstance(value, Tensor))
        total.backward()
    compare_gradients(both)


def same_gradients(both: Pair, ours: Any, theirs: Any) -> None:
    """Losses agree, and after a backward pass all gradients."""
    for name in ("loss", "mc_loss"):
        if theirs.get(name) is not None:
            close(ours[name], theirs[name])
    for output in (ours, theirs):
        (output["loss"] + output.get("mc_loss", 0)).backward()
    compare_gradients(both)


def compare_gradients(both: Pair) -> None:
    """By name: equal, or absent in both (or zero where the other has none)."""
    reference = dict(both.theirs.named_parameters())
    for name, parameter in both.ours.named_parameters():
        wanted = reference[name].grad
        if parameter.grad is None or wanted is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            assert wanted is None or not wanted.any(), name
            continue
        scale = float(wanted.abs().max())
        error = float((parameter.grad - wanted).abs().max())
        assert error <= 2e-5 * scale + 1e-7, f"{name}: off by {error:.2e} at scale {scale:.2e}"


@pytest.mark.parametrize("problem", ["regression", "single", "multi", "regression_rows"])
@pytest.mark.parametrize("case", CLASSIFIERS, ids=ids)
def test_problem_types(case: tuple[str, str], problem: str) -> None:
    labels, edits = {
        "regression": (torch.tensor([0.3, -1.2]), {"num_labels": 1}),
        "single": (torch.tensor([2, 1]), {}),
        "multi": (torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), {}),
        "regression_rows": (torch.tensor([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]),
                            {"problem_type": "regression"}),
    }[problem]
    both = fresh(*case, **edits)
    given = both.inputs() | {"labels": labels}
    ours, theirs = both.ours(**given), both.theirs(**given)
    assert both.ours.config.problem_type == both.theirs.config.problem_type
    same_gradients(both, ours, theirs)


@pytest.mark.parametrize("case", LANGUAGE, ids=ids)
def test_gradient_checkpointing(case: tuple[str, str, str]) -> None:
    both = fresh(*case)
    given = both.inputs("right") | targets(both)
    both.ours.train()
    both.ours(**given).loss.backward()
    wanted = {name: parameter.grad for name, parameter in both.ours.named_parameters()}
    both.ours.zero_grad()
    both.ours.gradient_checkpointing_enable()
    assert both.ours.is_gradient_checkpointing
    output = both.ours(**given)
    assert "past_key_values" not in output
    output.loss.backward()
    for name, parameter in both.ours.named_parameters():
        if wanted[name] is not None:
            close(parameter.grad, wanted[name])
    both.ours.gradient_checkpointing_disable()
    assert not both.ours.is_gradient_checkpointing


@pytest.mark.parametrize("kind", [kind for kind, tiny in TINY.items()
                                  if tiny.lm in ("ForCausalLM", "LMHeadModel")])
def test_items_in_batch(kind: str) -> None:
    both = pair(kind, TINY[kind].lm)
    given = both.inputs() | targets(both) | {"num_items_in_batch": 37}
    with torch.no_grad():
        close(both.ours(**given).loss, both.theirs(**given).loss)


@pytest.mark.parametrize("case", ARCHITECTURES, ids=ids)
def test_dropout(case: tuple[str, str]) -> None:
    both = pair(*case)
    model = fresh(*case, **dict.fromkeys(TINY[case[0]].dropouts, 0.4)).ours
    given = both.inputs()
    with torch.no_grad():
        first = _signal(model.train()(**given))
        assert not torch.equal(first, _signal(model(**given)))
        still = _signal(model.eval()(**given))
        assert torch.equal(still, _signal(model(**given)))
        quiet = both.ours  # whose rates are all 0
        want = _signal(quiet(**given))
        got = _signal(quiet.train()(**given))
        quiet.eval()
        close(got, want)


def _signal(output: Any) -> Tensor:
    return next(value for value in output.values() if isinstance(value, Tensor))


@pytest.mark.parametrize("kind", TINY)
def test_dropout_rates_are_theirs(kind: str) -> None:
    """Each dropout alone drops about as much of the output's variance as the reference's."""
    for name in TINY[kind].dropouts:
        suffix = {"qa_dropout": "ForQuestionAnswering", "summary_first_dropout": "DoubleHeadsModel",
                  "seq_classif_dropout": "ForSequenceClassification",
                  "classifier_dropout": "ForSequenceClassification"}.get(name, TINY[kind].lm)
        if TINY[kind].lm in ("ForCausalLM", "LMHeadModel") and name == "classifier_dropout":
            suffix = "ForTokenClassification"
        if (kind, suffix) not in ARCHITECTURES:
            continue
        both = fresh(kind, suffix, **{name: 0.3})
        spread = [_spread(model, both.inputs()) for model in (both.ours, both.theirs)]
        assert spread[0] > 0, f"{name} of {kind} has no effect"
        assert 0.6 < spread[0] / spread[1] < 1.6, f"{name} of {kind}: {spread}"


def _spread(model: Any, given: dict[str, Any]) -> float:
    name = "mc_logits" if type(model).__name__ == "GPT2DoubleHeadsModel" else None
    torch.manual_seed(0)
    model.train()
    with torch.no_grad():
        drawn = [model(**given) for _ in range(40)]
    tensors = torch.stack([_signal(output) if name is None else output[name] for output in drawn])
    return float(tensors.std(0).mean())


@pytest.mark.parametrize("kind", TINY)
def test_a_few_steps_lower_the_loss(kind: str) -> None:
    tiny = TINY[kind]
    torch.manual_seed(1)
    config = enfold.AutoConfig.for_model(kind, **tiny.config())
    model = type(pair(kind, tiny.lm).ours)(config)
    given = pair(kind, tiny.lm).inputs() | targets(pair(kind, tiny.lm))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model.train()(**given).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    if kind != "t5":  # whose embeddings start with deviation 1
        assert abs(losses[0] - torch.tensor(VOCAB).log()) < 0.6
    assert losses[-1] < 0.7 * losses[0]


