"""What is said about inputs of a wrong kind or shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from enfold.errors import InputError
from enfold.nn.checks import check_inputs, check_memory

IDS, FULL = torch.ones(2, 3, dtype=torch.long), torch.ones(2, 5)
INPUTS: dict[str, Any] = {"ids": IDS, "embeds": None, "offset": 0, "attention_mask": None}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "list": ({"ids": [[5, 6]]}, "input_ids is a list, expected a tensor [batch, length]. Do: "
             "torch.tensor(...), or tokenizer(text, return_tensors='pt')"),
    "mapping": ({"ids": {"input_ids": IDS}}, "input_ids is a dict, expected a tensor [batch, "
                "length]. Do: model(**inputs)"),
    "one row": ({"ids": IDS[0]}, "input_ids have shape (3,), expected [batch, length]. Do: "
                "input_ids[None] for one text"),
    "floats": ({"ids": IDS.float()}, "input_ids are of torch.float32, expected torch.long. Do: "
               "pass token ids; embeddings go into inputs_embeds"),
    "no tokens": ({"ids": IDS[:, :0]}, "the model got no tokens: the input has shape (2, 0). Do: "
                  "leave empty texts out"),
    "narrow embeddings": ({"embeds": torch.ones(2, 3, 7)}, "inputs_embeds have shape (2, 3, 7), "
                          "expected [batch, length, 8]. Do: "
                          "model.get_input_embeddings()(input_ids)"),
    "long mask": ({"attention_mask": FULL}, "attention_mask has shape (2, 5), expected (2, 3). Do: "
                  "pass on the tokenizer's"),
    "mask of the new tokens": (
        {"attention_mask": FULL[:, :3], "offset": 2}, "attention_mask has shape (2, 3), expected "
        "(2, 5) (2 cached and 3 new tokens). Do: pass on the tokenizer's, and extend it by one "
        "column per generated token"),
    "mask of other rows": ({"attention_mask": torch.ones(4, 3)}, "attention_mask has shape (4, 3), "
                           "expected (2, 3). Do: pass on the tokenizer's"),
    "mask [B, H, T, S]": ({"attention_mask": torch.ones(2, 1, 2, 3)}, "attention_mask has shape "
                          "(2, 1, 2, 3), expected (2, 'heads', 3, 3). Do: pass on the "
                          "tokenizer's"),
    "positions": ({"position_ids": IDS[:, :2]}, "position_ids have shape (2, 2), expected (2, 3), "
                  "one per token. Do: leave them out"),
}


@pytest.mark.parametrize("name", WRONG)
def test_inputs(name: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(InputError) as caught:
        check_inputs(8, **INPUTS | changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("changes", [
    {}, {"offset": 2, "attention_mask": FULL}, {"attention_mask": torch.ones(1, 3)},
    {"attention_mask": torch.ones(1, 1, 3, 3)}, {"attention_mask": torch.ones(2, 4, 1, 3)},
    {"position_ids": IDS[:1]}, {"ids": IDS.int()}, {"ids": None, "embeds": torch.ones(2, 3, 8)},
])
def test_what_fits(changes: dict[str, Any]) -> None:
    check_inputs(8, **INPUTS | changes)


@pytest.mark.parametrize(("memory", "mask", "message"), [
    ("x", None, "the encoder's output is a str, expected a tensor [batch, length, width]. Do: "
     "torch.tensor(...)"),
    (torch.ones(3, 4, 8), None, "the encoder's output has shape (3, 4, 8), the decoder's input has "
     "2 rows. Do: give as many rows of input_ids as of decoder_input_ids or labels"),
    (torch.ones(2, 4, 8), FULL, "attention_mask has shape (2, 5), expected (2, 4), that of the "
     "encoder's input. Do: pass on the tokenizer's"),
])
def test_memory(memory: Any, mask: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_memory(memory, mask, 2)
    assert str(caught.value) == message
