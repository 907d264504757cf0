"""`TrainingArguments.optim` to an optimizer, and which parameters decay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from enfold.errors import ArgumentError, InputError
from enfold.train import optim
from enfold.train.arguments import OptimizerNames, TrainingArguments
from enfold.train.optim.choices import CHOICES, NOT_HERE


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.layer = nn.Linear(4, 4)
        self.layer_norm, self.final = nn.LayerNorm(4), nn.LayerNorm(4)
        self.head = nn.Linear(4, 7)


def test_every_name_is_made_or_refused() -> None:
    assert set(CHOICES) | set(NOT_HERE) == set(OptimizerNames)
    assert not set(CHOICES) & set(NOT_HERE)
    theirs = {name.value for name in transformers.training_args.OptimizerNames}
    assert theirs <= {name.value for name in OptimizerNames}


@pytest.mark.parametrize("name", [*CHOICES])
def test_each_name_makes_a_step(name: OptimizerNames) -> None:
    torch.manual_seed(0)
    model = Tiny()
    args = TrainingArguments("o", optim=name, learning_rate=0.01, weight_decay=0.1, warmup_steps=2)
    optimizer = optim.make_optimizer(args, optim.decay_groups(model, 0.1), model)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(8):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.isfinite(p).all() and bool((p < old).all())


@pytest.mark.parametrize("name", [*NOT_HERE])
def test_the_others_raise_by_name(name: OptimizerNames) -> None:
    with pytest.raises(
        NotImplementedError, match=f"optim='{name.value}' is not implemented: .*use"
    ):
        optim.make_optimizer(TrainingArguments("o", optim=name), [])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("sgd", "momentum=0.9, nesterov=true", {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", "alpha=0.5,centered=1", {"alpha": 0.5, "centered": True}),
        ("ademamix", "beta3=0.5,alpha=2,t_alpha=10", {"betas": (0.9, 0.999, 0.5), "t_alpha": 10}),
        ("muon", "ns_steps=3,adjust_lr_fn=original", {"ns_steps": 3}),
        ("schedule_free_adamw", "r=1,weight_lr_power=0", {"r": 1.0, "weight_lr_power": 0.0}),
        ("adamw_torch", None, {"betas": (0.9, 0.999), "eps": 1e-8, "lr": 5e-5}),
        ("adafactor", None, {"relative_step": False, "scale_parameter": False}),
        ("adamw_torch_fused", None, {"fused": True}),
        ("lion_32bit", None, {"betas": (0.9, 0.999)}),
    ],
)
def test_settings_reach_the_optimizer(
    name: str, text: str | None, expected: dict[str, Any]
) -> None:
    args = TrainingArguments("o", optim=name, optim_args=text)
    model = Tiny()
    optimizer = optim.make_optimizer(args, optim.decay_groups(model, 0.0), model)
    assert {key: optimizer.defaults[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("sgd", "momentun=0.9", ArgumentError, "'momentun' .nearest: 'momentum'"),
        ("sgd", "nesterov=maybe", InputError, "got 'nesterov=maybe'"),
        ("sgd", "momentum=fast", InputError, "got 'momentum=fast'"),
        ("adamw_torch", "amsgrad=true", ArgumentError, "optim_args of adamw_torch"),
        ("muon", "adjust_lr_fn=none", InputError, "adjust_lr_fn='none'"),
    ],
)
def test_settings_it_does_not_have_raise(name: str, text: str, error: Any, said: str) -> None:
    args, model = TrainingArguments("o", optim=name, optim_args=text), Tiny()
    with pytest.raises(error, match=said):
        optim.make_optimizer(args, optim.decay_groups(model, 0.0), model)


def test_contradictions_raise() -> None:
    p = [nn.Parameter(torch.zeros(2))]
    with pytest.raises(InputError, match="got no model"):
        optim.make_optimizer(TrainingArguments("o", optim="muon"), [{"params": p}])
    with pytest.raises(InputError, match="vector in a group for matrices"):
        optim.Muon(p)
    with pytest.raises(InputError, match="lr=None with relative_step=False"):
        optim.Adafactor(p, relative_step=False)
    with pytest.raises(InputError, match="warmup_init=True needs relative_step=True"):
        optim.Adafactor(p, lr=1.0, relative_step=False, warmup_init=True)
    with pytest.raises(InputError, match="expected Adafactor"):
        optim.get_adafactor_schedule(torch.optim.SGD(p))
    with pytest.raises(InputError, match="optim_bits=4"):
        optim.AdamW(p, optim_bits=4)
    with pytest.raises(InputError, match="momentum=1.0"):
        optim.SGDScheduleFree(p, momentum=1.0)
    args = TrainingArguments("o", optim="schedule_free_sgd", warmup_ratio=0.1)
    with pytest.raises(InputError, match="give a number of steps"):
        optim.make_optimizer(args, [{"params": p}])


def test_paging_is_told(caplog: pytest.LogCaptureFixture) -> None:
    optim.get_optimizer_cls_and_kwargs(TrainingArguments("o", optim="paged_adamw_8bit"))
    assert "not paged" in caplog.text


def test_biases_and_norms_do_not_decay() -> None:
    model = Tiny()
    model.embed.weight.requires_grad_(False)
    decaying, plain = optim.decay_groups(model, 0.1)
    assert decaying["weight_decay"] == 0.1 and plain["weight_decay"] == 0.0
    assert {id(p) for p in decaying["params"]} == {id(model.layer.weight), id(model.head.weight)}
    assert len(plain["params"]) == 6


CONFIGS = {
    "bert": ("BertForSequenceClassification", {"hidden_size": 16, "num_hidden_layers": 1}),
    "llama": ("LlamaForCausalLM", {"hidden_size": 16, "num_hidden_layers": 1}),
    "t5": ("T5ForConditionalGeneration", {"d_model": 16, "num_layers": 1}),
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 16, "n_layer": 1}),
}
SMALL = {"vocab_size": 20, "num_attention_heads": 2, "intermediate_size": 8, "d_ff": 8, "n_head": 2}


@pytest.mark.parametrize("family", [*CONFIGS])
def test_the_choice_is_transformers(family: str) -> None:
    import enfold

    name, sizes = CONFIGS[family]
    theirs = getattr(transformers, name)(
        transformers.AutoConfig.for_model(family, **SMALL, **sizes)
    )
    config = enfold.AutoConfig.for_model(family, **SMALL, **sizes)
    mine = getattr(enfold, name)(config)
    expected = set(transformers.Trainer.get_decay_parameter_names(None, theirs))
    tied = {name for name, _ in theirs.named_parameters()}
    assert set(optim.get_decay_parameter_names(mine)) == expected & tied
