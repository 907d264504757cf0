"""Packed rows: the loss and gradients of the padded batch, and nothing seen across."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import enfold
from enfold.errors import InputError
from enfold.models.registry import get_family
from enfold.train.collate import DataCollatorForPacking, DataCollatorWithFlattening, pack
from tests.families.tiny import PAD, TINY, VOCAB

MODELS = [("llama", "ForCausalLM"), ("gpt2", "LMHeadModel"), ("mistral", "ForCausalLM"),
          ("bert", "ForMaskedLM"), ("roberta", "ForMaskedLM"), ("bert", "ForTokenClassification"),
          ("distilbert", "ForMaskedLM"), ("qwen2", "ForTokenClassification")]
LENGTHS = [7, 3, 11, 5, 2, 9]


def build(kind: str, suffix: str, **changes: Any) -> Any:
    config = enfold.AutoConfig.for_model(kind, **TINY[kind].config() | changes)
    torch.manual_seed(1)
    return getattr(enfold, get_family(kind).title + suffix)(config).eval()


def rows_for(model: Any) -> list[dict[str, Any]]:
    """Rows with labels, some of them -100."""
    torch.manual_seed(2)
    labels = VOCAB if model.head.output.__name__ != "TokenClassifierOutput" else 3
    made = []
    for length in LENGTHS:
        row = {"input_ids": torch.randint(4, VOCAB, (length,)).tolist(),
               "labels": torch.randint(0, labels, (length,)).tolist()}
        row["labels"][length // 2] = -100
        made.append(row)
    return made


def padded(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    width = max(LENGTHS)

    def fill(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (width - len(row[name])) for row in rows])

    return {"input_ids": fill("input_ids", PAD), "labels": fill("labels", -100),
            "attention_mask": torch.tensor([[1] * len(row["input_ids"])
                                            + [0] * (width - len(row["input_ids"]))
                                            for row in rows])}


@pytest.mark.parametrize("max_length", [None, 12, 16])
@pytest.mark.parametrize(("kind", "suffix"), MODELS)
def test_loss_and_gradients_of_the_padded_batch(kind: str, suffix: str,
                                                max_length: int | None) -> None:
    model = build(kind, suffix)
    rows = rows_for(model)
    collator = DataCollatorForPacking(model=model, max_length=max_length, pad_token_id=PAD)
    batch = collator(rows)
    assert batch["input_ids"].shape[0] == (1 if max_length is None else len(pack(LENGTHS,
                                                                                 max_length)))

    def run(inputs: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        loss = model(**inputs, use_cache=False).loss
        loss.backward()
        return loss.detach(), [parameter.grad.clone() for parameter in model.parameters()
                               if parameter.grad is not None]

    loss, gradients = run(batch)
    expected, others = run(padded(rows))
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "suffix", "start"), [
    ("llama", "ForCausalLM", 0), ("bert", "ForTokenClassification", 0),
    ("distilbert", "ForTokenClassification", 0), ("roberta", "ForTokenClassification", 2)])
def test_flattened_rows_do_not_see_each_other(kind: str, suffix: str, start: int) -> None:
    model = build(kind, suffix)
    rows = rows_for(model)
    batch = DataCollatorWithFlattening(position_ids_start=start)(rows)
    del batch["labels"]
    found = model(**batch).logits[0]
    alone = [model(input_ids=torch.tensor([row["input_ids"]])).logits[0] for row in rows]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("labels", [1, [1], [[1, 2]]])
def test_flattening_refuses_labels_of_texts(labels: Any) -> None:
    with pytest.raises(InputError, match=r"row 1 has labels of shape .* for 2 tokens, expected"):
        DataCollatorWithFlattening()([{"input_ids": [1], "labels": [1]},
                                      {"input_ids": [1, 2], "labels": labels}])


def test_nothing_is_seen_across() -> None:
    model = build("llama", "ForCausalLM")
    rows = rows_for(model)[:3]
    collate = DataCollatorForPacking(model=model)
    logits = model(**collate(rows)).logits
    rows[0]["input_ids"] = [4] * 7
    changed = model(**collate(rows)).logits
    torch.testing.assert_close(logits[:, 7:], changed[:, 7:], atol=0, rtol=0)
    assert not torch.equal(logits[:, :7], changed[:, :7])


def test_a_window_is_part_of_the_mask() -> None:
    model = build("mistral", "ForCausalLM", sliding_window=4)
    batch = DataCollatorForPacking(model=model, pad_token_id=PAD)(rows_for(model))
    assert int(batch["attention_mask"].sum(-1).max()) == 4
    loss = model(**batch).loss
    torch.testing.assert_close(loss, model(**padded(rows_for(model))).loss, atol=1e-5, rtol=1e-5)


def test_the_batch() -> None:
    rows = [{"input_ids": [5, 6, 7]}, {"input_ids": [8, 9], "attention_mask": [1, 1]},
            {"input_ids": [10]}]
    batch = DataCollatorForPacking(max_length=5, pad_token_id=1, return_tensors="np")(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9], [10, 1, 1, 1, 1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9], [-100] * 5]
    assert batch["attention_mask"][0, 0].astype(int).tolist() == [
        [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]]
    two = DataCollatorForPacking(causal=False, pad_to_multiple_of=8)(
        [{"input_ids": [5, 6], "token_type_ids": [0, 1]}, {"input_ids": [7],
                                                           "token_type_ids": [1]}])
    assert two["attention_mask"].shape == (1, 1, 8, 8) and "labels" not in two
    assert two["token_type_ids"].tolist() == [[0, 1, 1, 0, 0, 0, 0, 0]]
    assert two["attention_mask"].any(-1).all()  # a row of no key would be NaN


def test_pack_is_tight_and_whole() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500).tolist()
    groups = pack(lengths, 128)
    assert sorted(row for group in groups for row in group) == list(range(500))
    sums = [sum(lengths[row] for row in group) for group in groups]
    assert max(sums) <= 128
    assert len(groups) <= -(-sum(lengths) // 128) + 2
    assert pack([], 8) == [] and pack([3, 3], None) == [[0, 1]]


@pytest.mark.parametrize(("rows", "message"), [
    ([{"input_ids": [1] * 9}], "row 0 has 9 tokens, expected at most max_length=8"),
    ([{"input_ids": [1, 2], "labels": [1]}], "row 0 has 1 labels for 2 tokens"),
    ([{"input_ids": [1], "pixel_values": [1]}], "has 'pixel_values'"),
])
def test_refused_rows(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DataCollatorForPacking(max_length=8)(rows)


@pytest.mark.parametrize(("kind", "suffix", "message"), [
    ("t5", "ForConditionalGeneration", "is an encoder-decoder"),
    ("bert", "ForSequenceClassification", "one answer for a text"),
])
def test_refused_models(kind: str, suffix: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DataCollatorForPacking(model=build(kind, suffix))
