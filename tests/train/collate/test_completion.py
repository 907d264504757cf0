"""Labels for answers only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enfold.errors import ConfigError, InputError
from enfold.train.collate import DataCollatorForCompletionOnlyLM
from enfold.train.collate.completion import occurrences
from tests.train.collate.conftest import WORDS, Tokenizers

KINDS = pytest.mark.parametrize("kind", ["pt", "np"])


def learned(tokenizers: Tokenizers, collator: Any, *texts: str) -> list[str]:
    """The words of each text that have labels."""
    batch = collator([dict(tokenizers.ours(text)) for text in texts])
    ids, labels = np.asarray(batch["input_ids"]), np.asarray(batch["labels"])
    assert ((labels == ids) | (labels == -100)).all()
    return [" ".join(WORDS[label] for label in row if label != -100) for row in labels]


@KINDS
def test_after_the_last_response(tokenizers: Tokenizers, kind: str) -> None:
    collator = DataCollatorForCompletionOnlyLM("bot :", tokenizer=tokenizers.ours,
                                               return_tensors=kind)
    found = learned(tokenizers, collator, "user : the map bot : a city",
                    "user : it bot : was it user : a bot : it was the map of a city")
    assert found == ["a city [SEP]", "it was the map of a city [SEP]"]


def test_several_turns(tokenizers: Tokenizers) -> None:
    collator = DataCollatorForCompletionOnlyLM("bot :", "user :", tokenizer=tokenizers.ours)
    found = learned(tokenizers, collator, "the user : it bot : was it user : a bot : the map",
                    "user : it bot : a user : was")
    assert found == ["was it the map [SEP]", "a"]


def test_templates_as_ids_and_other_positions(tokenizers: Tokenizers) -> None:
    ids = [WORDS.index("bot"), WORDS.index(":")]
    collator = DataCollatorForCompletionOnlyLM(ids, None, tokenizers.ours, ignore_index=-1)
    batch = collator([dict(tokenizers.ours("user : it bot : a"))])
    assert batch["labels"].tolist() == [[-1] * 6 + [11, 3]]


def test_padding_free(tokenizers: Tokenizers) -> None:
    collator = DataCollatorForCompletionOnlyLM("bot :", tokenizer=tokenizers.ours,
                                               padding_free=True)
    batch = collator([dict(tokenizers.ours(text)) for text in ("bot : a city", "it bot : was")])
    assert batch["input_ids"].tolist() == [[2, 17, 15, 11, 12, 3, 2, 21, 17, 15, 13, 3]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]]
    assert batch["labels"].tolist() == [[-100] * 3 + [11, 12, 3] + [-100] * 4 + [13, 3]]
    assert batch["attention_mask"].shape == (1, 1, 12, 12)


def test_rows_of_which_nothing_is_learned(tokenizers: Tokenizers) -> None:
    collator = DataCollatorForCompletionOnlyLM("bot :", "user :", tokenizer=tokenizers.ours)
    with pytest.raises(InputError, match="row 1 of the batch has no response_template 'bot :'"):
        learned(tokenizers, collator, "user : it bot : a", "user : the map")
    with pytest.raises(InputError, match="row 0 of the batch has no instruction_template"):
        learned(tokenizers, collator, "bot : it")
    bare = DataCollatorForCompletionOnlyLM([17, 15, 3], tokenizer=tokenizers.ours)
    with pytest.raises(InputError, match="row 0 of the batch has nothing after"):
        learned(tokenizers, bare, "it bot :")


def test_refused(tokenizers: Tokenizers) -> None:
    with pytest.raises(ConfigError, match="response_template is '', which has no tokens"):
        DataCollatorForCompletionOnlyLM("", tokenizer=tokenizers.ours)
    with pytest.raises(ConfigError, match="mlm is True"):
        DataCollatorForCompletionOnlyLM("bot", tokenizer=tokenizers.ours, mlm=True)


def test_occurrences() -> None:
    assert occurrences(np.array([1, 1, 1, 2]), [1, 1]).tolist() == [0, 1]
    assert occurrences(np.array([1]), [1, 1]).tolist() == []
