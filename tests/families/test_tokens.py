"""Padding and logits that nobody looks at are not computed, and loss and gradients are the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from enfold.nn import stack, vocabulary
from enfold.nn.tokens import only_loss, whole_rows
from tests.families.pairs import Pair, close, fresh, ids, pair
from tests.families.test_training import HEADED, compare_gradients, targets


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("case", HEADED, ids=ids)
def test_loss_alone(case: tuple[str, str, str], side: str,
                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside transformers, in texts padded by a half, some rows of logits at a time."""
    monkeypatch.setattr(vocabulary, "CHUNK", 3 * 96)
    both = fresh(*case)
    given = padded(both, side)
    theirs = both.theirs(**given)
    with only_loss():
        ours = both.ours(**given)
    for name in ("loss", "mc_loss"):
        if theirs.get(name) is not None:
            close(ours[name], theirs[name])
    for output in (ours, theirs):
        (output["loss"] + output.get("mc_loss", 0)).backward()
    compare_gradients(both)


def padded(both: Pair, side: str) -> dict[str, Any]:
    """Inputs and labels, padding never labelled."""
    given = both.inputs(side, batch=4, length=12) | targets_of_four(both)
    words, mask = given.get("labels"), given.get("attention_mask")
    if words is not None and not both.encdec and words.shape == mask.shape:
        given["labels"] = words.masked_fill(mask == 0, -100)
    return given


def targets_of_four(both: Pair) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in targets(both).items():
        if name == "labels" and value.shape == both.inputs()["input_ids"].shape:
            value = both.inputs(batch=4, length=12)["input_ids"].clone()
            value[..., :2] = -100
            if type(both.ours.head.spec).__name__ == "TokenClassifier":
                value = (value % 3).masked_fill(value < 0, -100)
        elif both.encdec and name == "labels" and value.dim() == 2:
            value = both.inputs(batch=4, length=12)["decoder_input_ids"].clone()
        else:
            value = torch.cat((value, value.flip(0)))
        made[name] = value
    return made


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "gpt2", "llama"])
def test_classifying_leaves_padding_out(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every call: only one token of each text is looked at."""
    both = pair(kind, "ForSequenceClassification")
    given = both.inputs("right", batch=4, length=12)
    given |= {} if kind in ("bert", "roberta", "distilbert") else {"use_cache": False}
    seen = watch(monkeypatch)
    with torch.no_grad():
        got = both.ours(**given).logits
        assert seen == [int(given["attention_mask"].sum())]
        with whole_rows():
            close(got, both.ours(**given).logits)
        close(got, both.theirs(**given).logits)
        both.ours(**given, output_hidden_states=True)
    assert seen[1:] == [None]  # asked to leave rows whole; states that are shown are not cut


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass without padding has."""
    seen, find = [], stack.find

    def counted(*args: Any) -> Any:
        found = find(*args)
        seen.append(None if found is None else len(found.index))
        return found

    monkeypatch.setattr(stack, "find", counted)
    return seen


def test_labels_on_padding_count() -> None:
    """Scripts that forget to mask padding train on it, as they do with transformers."""
    both = fresh("llama", "ForCausalLM")
    given = both.inputs("right", batch=4, length=12)
    given["labels"] = given["input_ids"]
    with only_loss():
        ours = both.ours(**given).loss
    close(ours, both.theirs(**given).loss)


@pytest.mark.parametrize("mask", [[[0, 1, 1, 1], [1, 1, 1, 1]], [[1, 0, 1, 1], [1, 1, 1, 1]]])
def test_masks_of_other_shapes_stay(mask: list[list[int]]) -> None:
    """A text that does not begin at the left, or has a hole."""
    both = pair("bert", "ForSequenceClassification")
    given = {"input_ids": both.inputs(length=4)["input_ids"], "attention_mask": torch.tensor(mask)}
    with torch.no_grad():
        close(both.ours(**given).logits, both.theirs(**given).logits)


def test_hooks_see_whole_batches() -> None:
    model = fresh("bert", "ForSequenceClassification").ours
    shapes = []
    model.bert.encoder.layer[0].attention.self.query.register_forward_hook(
        lambda module, args, output: shapes.append(output.shape[:2]))
    with torch.no_grad():
        model(torch.ones(3, 7, dtype=torch.long))
    assert shapes == [(3, 7)]


def test_logits_are_absent_where_only_the_loss_is_wanted() -> None:
    both = pair("llama", "ForCausalLM")
    given = both.inputs()
    with only_loss(), torch.no_grad():
        assert list(both.ours(**given, labels=given["input_ids"], use_cache=False)) == ["loss"]
        assert both.ours(**given).logits is not None
