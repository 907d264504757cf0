"""What collators do beyond transformers 5, and what they refuse."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from enfold.errors import ConfigError, InputError
from enfold.train import collate
from tests.train.collate.conftest import TEXTS, Tokenizers

WHOLE_457 = """
import json, random, sys, torch, numpy as np
from transformers import BertTokenizerFast, DataCollatorForWholeWordMask
folder, side, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
tokenizer = BertTokenizerFast(folder + "/vocab.txt", do_lower_case=True, padding_side=side)
found = {}
for kind in ("pt", "np"):
    for seed in (None, 5):
        random.seed(1), torch.manual_seed(1), np.random.seed(1)
        collator = DataCollatorForWholeWordMask(tokenizer, mlm_probability=0.4, seed=seed,
                                                return_tensors=kind)
        batch = collator([tokenizer(text) for text in texts])
        found[f"{kind}{seed}"] = {name: value.tolist() for name, value in batch.items()}
print(json.dumps(found))
"""


def test_words_of_rows_that_differ_in_length(tokenizers: Tokenizers) -> None:
    """Theirs can't pad offsets; a word is masked as a whole, or not at all."""
    rows = [dict(tokenizers.ours(text, return_offsets_mapping=True)) for text in TEXTS]
    collator = collate.DataCollatorForLanguageModeling(tokenizers.ours, whole_word_mask=True,
                                                       mlm_probability=0.5, seed=1)
    seen = set()
    for _ in range(20):
        batch = collator(rows)
        hidden = (batch["labels"] != -100)
        assert not hidden[batch["attention_mask"] == 0].any()
        assert (batch["input_ids"][hidden] == tokenizers.ours.mask_token_id).all()
        place = slice(1, 4) if tokenizers.ours.padding_side == "right" else slice(-4, -1)
        seen.add(tuple(hidden[4, place].tolist()))  # un ##fold ##ed
    assert seen == {(True,) * 3, (False,) * 3}


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("seed", [None, 5])
def test_whole_words_of_wordpiece(tokenizers: Tokenizers, seed: int | None, kind: str,
                                  whole_457: dict[str, Any]) -> None:
    import random

    random.seed(1), torch.manual_seed(1), np.random.seed(1)
    collator = collate.DataCollatorForWholeWordMask(tokenizers.ours, mlm_probability=0.4,
                                                    seed=seed, return_tensors=kind)
    batch = collator([dict(tokenizers.ours(text)) for text in TEXTS])
    theirs = whole_457[f"{kind}{seed}"]
    assert {name: batch[name].tolist() for name in theirs} == theirs
    assert batch["attention_mask"].sum() == sum(len(tokenizers.ours(text)["input_ids"])
                                                for text in TEXTS)


@pytest.fixture(scope="session")
def whole_457(oracle457: Any, tokenizers: Tokenizers, tmp_path_factory: pytest.TempPathFactory
              ) -> dict[str, Any]:
    import json

    from tests.train.collate.conftest import WORDS

    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return oracle457(WHOLE_457, folder, tokenizers.ours.padding_side, json.dumps(TEXTS))


def test_masking_draws_what_was_asked(tokenizers: Tokenizers) -> None:
    rows = [[2, *([8] * 2000), 3]] * 4
    collator = collate.DataCollatorForLanguageModeling(tokenizers.ours, seed=0)
    batch = collator(rows)
    chosen = batch["labels"] != -100
    masked = batch["input_ids"] == tokenizers.ours.mask_token_id
    assert abs(float(chosen.float().mean()) - 0.15) < 0.02
    assert abs(float((masked & chosen).sum() / chosen.sum()) - 0.8) < 0.05
    assert (batch["input_ids"][~chosen] == torch.tensor(rows)[~chosen]).all()


@pytest.mark.parametrize(("options", "message"), [
    ({"mlm_probability": None}, "mlm_probability is None"),
    ({"mlm_probability": 1.5}, "mlm_probability is 1.5"),
    ({"mask_replace_prob": -0.1}, "mask_replace_prob is -0.1"),
    ({"random_replace_prob": 2}, "random_replace_prob is 2"),
    ({"mask_replace_prob": 0.8, "random_replace_prob": 0.3}, "expected a sum of at most 1"),
    ({"mlm": False, "whole_word_mask": True}, "mlm is False"),
])
def test_masking_refuses(tokenizers: Tokenizers, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        collate.DataCollatorForLanguageModeling(tokenizers.ours, **options)


def test_masking_needs_a_mask_token_and_offsets(tokenizers: Tokenizers,
                                                caplog: pytest.LogCaptureFixture) -> None:
    class Bare:
        mask_token, pad_token_id, eos_token_id, pad_token = None, 3, 3, None

    with pytest.raises(ConfigError, match="needs a mask token"):
        collate.DataCollatorForLanguageModeling(Bare())
    causal = collate.DataCollatorForLanguageModeling(Bare(), mlm=False)
    assert "does not learn where texts end" in caplog.text
    with pytest.raises(InputError, match="rows have 1 to 2 ids, and the tokenizer has no pad_tok"):
        causal([[1], [1, 2]])
    words = collate.DataCollatorForLanguageModeling(tokenizers.ours, whole_word_mask=True,
                                                    mask_replace_prob=0.5)
    assert "chosen words are all masked" in caplog.text
    with pytest.raises(InputError, match="rows have no offset_mapping"):
        words(tokenizers.rows())


@pytest.mark.parametrize(("rows", "message"), [
    ([{"x": [1, 2]}, {"x": [1]}], "'x' of lengths 1 to 2, expected equal ones"),
    ([{"label_ids": [1, 2]}, {"label_ids": [1]}], "'label_ids' of lengths 1 to 2"),
    ([{"x": torch.ones(2)}, {"x": torch.ones(3)}], "'x' of lengths 2 to 3"),
    ([{"x": {"a": 1}}], "'x' can't be put in an array"),
])
def test_default_refuses(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        collate.default_data_collator(rows)


def test_kinds_and_lengths_that_are_refused(tokenizers: Tokenizers) -> None:
    rows = tokenizers.rows()
    for made in (collate.default_data_collator,
                 lambda rows, kind: collate.DataCollatorForTokenClassification(
                     tokenizers.ours)(rows, kind)):
        with pytest.raises(InputError, match="return_tensors is 'tf', expected 'pt'"):
            made(rows, "tf")
    tokens = collate.DataCollatorForTokenClassification(tokenizers.ours)
    for count in (1, 99):  # labels of words, and of another text
        with pytest.raises(InputError, match=f"row 1 of the batch has {count} labels for "
                                             f"{len(rows[1]['input_ids'])} tokens, expected one"):
            tokens([row | {"labels": [0] * (count if number == 1 else len(row["input_ids"]))}
                    for number, row in enumerate(rows)])
    full = {name: [*rows[0][name], 0, 0] for name in ("input_ids", "attention_mask")}
    batch = tokens([full | {"labels": [7] * len(rows[0]["input_ids"])}])  # padded before, all but
    assert (batch["labels"] == 7).sum() == len(rows[0]["input_ids"])  # the labels
    seq2seq = collate.DataCollatorForSeq2Seq(tokenizers.ours, padding=False)
    with pytest.raises(InputError, match="labels have lengths 1 to 2, and padding is False"):
        seq2seq([rows[0] | {"labels": [1]}, rows[0] | {"labels": [1, 2]}])
    choices = collate.DataCollatorForMultipleChoice(tokenizers.ours)
    with pytest.raises(InputError, match="have 1 to 2 choices"):
        choices([{"input_ids": [[1]], "label": 0}, {"input_ids": [[1], [2]], "label": 0}])
    half = collate.DataCollatorMixin()
    for kind in ("pt", "np"):
        with pytest.raises(NotImplementedError, match="DataCollatorMixin makes no"):
            half(rows, kind)


def test_seeds_differ_between_workers(tokenizers: Tokenizers) -> None:
    from torch.utils.data import DataLoader

    rows = [[2, *range(5, 23), 3]] * 8
    collator = collate.DataCollatorForLanguageModeling(tokenizers.ours, seed=3,
                                                       mlm_probability=0.5)
    one, two = DataLoader(rows, batch_size=4, collate_fn=collator, num_workers=2)
    assert not torch.equal(one["labels"], two["labels"])
    again = list(DataLoader(rows, batch_size=4, collate_fn=collator, num_workers=2))
    assert torch.equal(one["labels"], again[0]["labels"])


def test_logs_are_quiet(tokenizers: Tokenizers, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        collate.DataCollatorForLanguageModeling(tokenizers.ours)(tokenizers.rows())
        collate.DataCollatorWithPadding(tokenizers.ours)(tokenizers.rows())
    assert caplog.text == ""
