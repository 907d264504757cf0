"""16 bits, and losses that are not numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.train.trainer import Trainer
from enfold.train.trainer.precision import clip, norm_of
from tests.families.pairs import fresh
from tests.train.trainer.runs import curve, ours, rows
from tests.train.trainer.test_accumulation import Plain

LLAMA = ("llama", "ForCausalLM")


def trained(folder: Path, dtype: torch.dtype = torch.float32, frozen: bool = False,
            **arguments: Any) -> Any:
    torch.manual_seed(0)
    model = fresh(*LLAMA).ours.to(dtype)
    if frozen:  # a base in 16 bits, and a few weights in 32
        for name, parameter in model.named_parameters():
            parameter.requires_grad = "q_proj" in name
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    made = ours(model, folder, rows("causal", 32), learning_rate=3e-3,
                **{"max_steps": 40, **arguments})
    made.train()
    return made


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("how", ["bf16", "fp16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_losses_fall_as_in_32_bits(how: str, dtype: torch.dtype, frozen: bool,
                                   tmp_path: Path) -> None:
    made = trained(tmp_path, dtype, frozen, **{how: True})
    wanted = trained(tmp_path, frozen=frozen)
    assert sum(curve(made)[-8:]) == pytest.approx(sum(curve(wanted)[-8:]), rel=0.02)
    assert all(p.dtype == torch.float32 for p in made.model.parameters() if p.requires_grad)


def test_16_bit_weights_are_refused_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights to train are bfloat16 \('model.embed_tokens"):
        trained(tmp_path, torch.bfloat16)

    class Allowed(Trainer):
        allow_16bit_weights = True

    model = fresh(*LLAMA).ours.to(torch.bfloat16)
    ours(model, tmp_path, rows("causal", 8), Allowed, max_steps=1).train()
    assert model.dtype == torch.bfloat16


class Broken(Plain):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.calls = where, 0

    def forward(self, input_ids: Any, attention_mask: Any = None, labels: Any = None) -> Any:
        self.calls += 1
        result = super().forward(input_ids, attention_mask, labels)
        if self.calls >= 3 and self.where == "loss":
            result["loss"] = result["loss"] / 0
        if self.calls == 3 and self.where == "weight":
            self.out.weight.data[3, 3] = float("nan")
            result = super().forward(input_ids, attention_mask, labels)
        if self.calls >= 3 and self.where == "gradient":
            result["loss"] = result["loss"] + (self.out.weight[0, 0] * 0).sqrt()
        return result


class Overflowing(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x / 0 if self.training else x


def test_a_loss_that_is_not_a_number_names_the_module(tmp_path: Path) -> None:
    model = Plain()
    model.out = torch.nn.Sequential(model.out, Overflowing())
    with pytest.raises(FloatingPointError, match=r"loss of step 1 is nan.*module .* is 'out.1'"):
        ours(model, tmp_path, rows("tokens"), max_steps=3).train()


@pytest.mark.parametrize(("where", "said"), [
    ("loss", "loss of step 3 is inf.*so it is the loss itself"),
    ("weight", "loss of step 3 is nan.*the weight 'out.weight' is not finite"),
    ("gradient", "gradients of step 3 is nan.*1 weights have such, 'out.weight' nearest")])
def test_what_else_is_not_a_number(where: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=said):
        ours(Broken(where), tmp_path, rows("tokens"), max_steps=5).train()


@pytest.mark.parametrize("limit", [0.0, 0.5, 1.0, 1.0000005, 1.1, 100.0])
def test_gradients_are_clipped_as_torch_does(limit) -> None:
    found = []
    for own in (True, False):
        model = torch.nn.Linear(4, 4, bias=False)
        model.weight.grad = torch.full((4, 4), 0.25)  # of norm 1
        if own:
            clip(model, limit, norm_of(model))
        elif limit:
            torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
        found.append(model.weight.grad)
    assert torch.equal(*found)
