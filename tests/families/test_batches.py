"""A batch gives what single texts give; bf16 and fp16 are as near to fp32 as transformers' are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families.pairs import ARCHITECTURES, LANGUAGE, Pair, close, fresh, ids, pair
from tests.families.tiny import TINY


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("case", LANGUAGE, ids=ids)
def test_a_batch_is_its_single_texts(case: tuple[str, str, str], side: str) -> None:
    both = pair(*case)
    given = both.inputs(side, batch=4)
    mask = given["attention_mask"].bool()
    if not both.encdec and side == "left" and TINY[case[0]].lm in ("ForCausalLM", "LMHeadModel"):
        given["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)
    if (side == "left" and case[0] == "distilbert") or "dynamic" in case or "longrope" in case:
        pytest.skip("positions count padding here, as in the reference")
    if side == "left" and case[0] == "bert":
        given["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        together = both.ours(**given).logits
        for row, real in enumerate(mask):
            if both.encdec and (side == "right" or case[0] == "t5"):
                alone = both.ours(input_ids=given["input_ids"][row][real][None],
                                  decoder_input_ids=given["decoder_input_ids"][row][None]).logits
                close(together[row], alone[0])
            elif not both.encdec:
                alone = both.ours(given["input_ids"][row][real][None]).logits
                close(together[row][real], alone[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", ARCHITECTURES, ids=ids)
def test_half_precision_is_as_near_as_the_references(case: tuple[str, str],
                                                     dtype: torch.dtype) -> None:
    exact, both = pair(*case), fresh(*case)
    given = exact.inputs("right", batch=4, length=24)
    given.pop("attention_mask")
    with torch.no_grad():
        wanted = _first(exact.theirs(**given))
        ours, theirs = (_first(model.to(dtype)(**given)) for model in (both.ours, both.theirs))
    assert ours.dtype == theirs.dtype == dtype
    error, reference = (_deviation(found.float() - wanted, sparse=bool(routers(exact)))
                        for found in (ours, theirs))
    assert error <= 1.5 * reference + 1e-3 * float(wanted.abs().max())


def routers(both: Pair) -> list[Any]:
    """The routers of a mixture of experts."""
    return getattr(both.ours.body, "routers", list)()


def _deviation(error: Tensor, *, sparse: bool) -> float:
    """Root of the mean square; of a mixture of experts over three quarters of the tokens, for a
    token near a border gets another expert.
    """
    rows = error.flatten(0, -2).square().mean(-1).sort().values
    return float(rows[: len(rows) * 3 // 4 if sparse else None].mean().sqrt())


def _first(output: Any) -> Tensor:
    return next(value for value in output.values() if isinstance(value, Tensor))

