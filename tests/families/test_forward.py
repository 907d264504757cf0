"""Forward passes equal transformers': logits, hidden states, attentions, for any form of input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from enfold.models.registry import FAMILIES
from tests.families.pairs import (
    ARCHITECTURES,
    CASES,
    LANGUAGE,
    Pair,
    close,
    fresh,
    ids,
    pair,
    same_outputs,
    their_class,
)
from tests.families.tiny import TINY


def test_every_family_has_a_tiny_config() -> None:
    assert set(TINY) == set(FAMILIES)


@pytest.mark.parametrize("case", ARCHITECTURES, ids=ids)
def test_class_names_are_theirs(case: tuple[str, str]) -> None:
    assert their_class(*case).__name__ == type(pair(*case).ours).__name__


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_outputs(case: tuple[str, str, str]) -> None:
    both = pair(*case, attention="eager")
    given = both.inputs() | {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        ours, theirs = both.ours(**given), both.theirs(**given)
        same_outputs(ours, theirs)
        assert list(ours.keys()) == _keys(theirs)
        listed, reference = both.ours(**given, return_dict=False), both.theirs(
            **given, return_dict=False)
    reference = tuple(item for item in reference if item != ())
    assert [_plain(item) for item in listed] == [_plain(item) for item in reference]
    same_outputs([item for item in listed if _plain(item)],
                 [item for item in reference if _plain(item)])


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_fused_kernel_equals_plain_operations(case: tuple[str, str, str]) -> None:
    fused, plain = pair(*case), pair(*case, attention="eager")
    for padding in (None, "left", "right"):
        given = fused.inputs(padding)
        with torch.no_grad():
            same_outputs(_real(fused, fused.ours(**given), given),
                         _real(fused, plain.ours(**given), given))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("case", CASES, ids=ids)
def test_padded(case: tuple[str, str, str], side: str) -> None:
    both = pair(*case)
    given = both.inputs(side, batch=3)
    output = both.ours(**given)
    with torch.no_grad():
        same_outputs(_real(both, output, given), _real(both, both.theirs(**given), given))
    whole = next(value for value in output.values() if isinstance(value, Tensor))
    assert whole.isfinite().all()  # padding too
    gradient = torch.autograd.grad(whole.sum(), next(both.ours.parameters()))[0]
    assert gradient.isfinite().all()


@pytest.mark.parametrize("case", LANGUAGE, ids=ids)
def test_embeddings_instead_of_ids(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    given = both.inputs()
    tokens = given.pop("input_ids")
    with torch.no_grad():
        embeds = both.theirs.get_input_embeddings()(tokens)
        same_outputs(both.ours(inputs_embeds=embeds, **given),
                     both.theirs(inputs_embeds=embeds, **given))


@pytest.mark.parametrize("case", [case for case in LANGUAGE if case[0] not in ("t5", "bart",
                                                                               "marian")], ids=ids)
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks_with_four_dimensions(case: tuple[str, str, str], kind: str) -> None:
    both = pair(*case)
    given = both.inputs()
    length = given["input_ids"].shape[1]
    seen = torch.ones(length, length, dtype=torch.bool).tril()
    seen[3:, 1] = False
    mask: Any = seen[None, None].expand(2, 1, length, length)
    # theirs takes every number of the mask for a token of the routers' loss
    quiet = {"output_router_logits": False} if case[2] == "balanced" else {}
    if kind == "float":
        mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    with torch.no_grad():
        close(both.ours(**given, attention_mask=mask).logits,
              both.theirs(**given, attention_mask=mask, **quiet).logits)


@pytest.mark.parametrize("case", [case for case in LANGUAGE if case[0] not in ("t5", "bart",
                                  "marian", "distilbert")], ids=ids)
def test_positions(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    given = both.inputs() | {"position_ids": torch.tensor([[3, 4, 5, 7, 8, 9, 12, 14, 20]])}
    with torch.no_grad():
        close(both.ours(**given).logits, both.theirs(**given).logits)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "gpt_bigcode"])
def test_segments(kind: str) -> None:
    both = pair(kind, TINY[kind].lm)
    given = both.inputs() | {"token_type_ids": torch.tensor([[0, 0, 1, 1, 2, 2, 2, 1, 0]] * 2)}
    with torch.no_grad():
        close(both.ours(**given).logits, both.theirs(**given).logits)


@pytest.mark.parametrize("kind", [kind for kind, tiny in TINY.items() if "LM" in tiny.lm
                                  and kind not in ("bert", "roberta", "distilbert")])
def test_logits_to_keep(kind: str) -> None:
    both = pair(kind, TINY[kind].lm)
    given = both.inputs()
    with torch.no_grad():
        for keep in (1, 3, torch.tensor([0, 4])):
            close(both.ours(**given, logits_to_keep=keep).logits,
                  both.theirs(**given, logits_to_keep=keep).logits)


@pytest.mark.parametrize("kind", ["bart", "marian", "t5"])
def test_encoder_outputs_instead_of_ids(kind: str) -> None:
    both = pair(kind, TINY[kind].lm)
    given = both.inputs("right")
    with torch.no_grad():
        whole = both.ours(**given).logits
        tokens, mask = given.pop("input_ids"), given["attention_mask"]
        encoded = both.ours.get_encoder()(input_ids=tokens, attention_mask=mask)
        reference = both.theirs.get_encoder()(input_ids=tokens, attention_mask=mask)
        same_outputs(encoded, reference)
        close(both.ours(**given, encoder_outputs=encoded).logits, whole)
        close(both.ours(**given, encoder_outputs=(encoded[0],)).logits, whole)
        close(both.ours(**given, encoder_outputs=reference).logits, whole)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_cross_attention(kind: str) -> None:
    suffix = "LMHeadModel" if kind == "bert" else "ForCausalLM"
    edits = {"is_decoder": True, "add_cross_attention": True}
    both = fresh(kind, suffix, attention="eager", **edits)
    memory, mask = torch.randn(2, 5, 32), torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    given = both.inputs("right") | {"encoder_hidden_states": memory, "encoder_attention_mask": mask,
                                    "output_attentions": True}
    with torch.no_grad():
        ours, theirs = both.ours(**given), both.theirs(**given)
    assert list(ours) == _keys(theirs)
    close(ours.logits[0], theirs.logits[0])
    close(ours.cross_attentions[1][0], theirs.cross_attentions[1][0])


def _keys(output: Any) -> list[str]:
    """The fields; transformers 5 (not 4) adds an empty `cross_attentions` where nothing crosses."""
    return [name for name, value in output.items() if value != ()]


def _plain(item: Any) -> bool:
    """A tensor, or a tuple of tensors: not a cache."""
    return isinstance(item, Tensor) or (isinstance(item, tuple) and all(
        isinstance(inner, Tensor) for inner in item))


def _real(both: Pair, output: Any, given: dict[str, Any]) -> list[Tensor]:
    """The tensors of an output, those over the text only where it is not padding."""
    mask = given.get("attention_mask")
    found = []
    for name, value in output.items():
        if not isinstance(value, Tensor):
            continue
        over_text = mask is not None and value.shape[: mask.dim()] == mask.shape
        over_text &= not both.encdec or name.startswith("encoder")
        found.append(value[mask.bool()] if over_text and mask is not None else value)
    return found
