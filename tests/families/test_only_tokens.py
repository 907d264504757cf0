"""Who looks at tokens alone gets them from a batch without its padding."""

from __future__ import annotations

import pytest
import torch

from enfold.nn.tokens import only_tokens
from tests.families.pairs import fresh, texts

CASES = [("bert", "Model"), ("roberta", "ForMaskedLM"), ("distilbert", "ForTokenClassification"),
         ("t5", "EncoderModel")]


@pytest.mark.parametrize(("kind", "suffix"), CASES)
@pytest.mark.parametrize("padding", ["right", "left"])
@torch.no_grad()
def test_tokens_are_the_same_and_padding_is_not_computed(kind, suffix, padding) -> None:
    model, made = fresh(kind, suffix).ours, texts(4, 12, padding)
    made["input_ids"][2:] = made["input_ids"][1]
    made["attention_mask"][2:] = 0
    side = slice(0, 4) if padding == "right" else slice(8, 12)
    made["attention_mask"][2:, side] = 1
    real = made["attention_mask"].bool()
    seen = []
    plain = model(**made)[0]
    norms = next(module for module in model.body.modules() if "Norm" in type(module).__name__)
    inner = norms.forward
    norms.forward = lambda x: (seen.append(x.shape[:-1].numel()), inner(x))[1]
    with only_tokens():
        found = model(**made)[0]
    assert found.shape == plain.shape
    torch.testing.assert_close(found[real], plain[real], rtol=1e-5, atol=1e-5)
    assert seen[0] == int(real.sum())
