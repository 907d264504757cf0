"""Which layers an adapter acts on, and what is said when the patterns do not fit."""

from __future__ import annotations

import peft
import pytest
import torch

from enfold import adapt
from tests.families.pairs import fresh

SAME = [
    ("llama", "ForCausalLM", {"target_modules": ["q_proj", "mlp.down_proj"]}),
    ("llama", "ForCausalLM", {"target_modules": r".*layers\.1\..*(q|k)_proj"}),
    ("llama", "ForCausalLM", {"target_modules": "all-linear"}),
    ("llama", "ForCausalLM", {"target_modules": ["q_proj"], "layers_to_transform": [1]}),
    ("llama", "ForCausalLM", {"target_modules": ["q_proj"], "layers_to_transform": 0,
                              "layers_pattern": "layers"}),
    ("llama", "ForCausalLM", {"target_modules": "all-linear", "exclude_modules": ["up_proj"]}),
    ("llama", "ForCausalLM", {"target_modules": ["q_proj", "k_proj"],
                              "exclude_modules": r".*\.0\..*k_proj"}),
    ("llama", "ForCausalLM", {}), ("qwen2", "ForCausalLM", {}), ("mistral", "ForCausalLM", {}),
    ("mixtral", "ForCausalLM", {"target_modules": ["q_proj", "v_proj"]}),
    ("mixtral", "ForCausalLM", {"target_modules": "all-linear"}),
    ("mixtral", "ForCausalLM", {"target_modules": ["w1", "w3", "k_proj"], "r": 3}),
    ("mixtral", "ForCausalLM", {"target_modules": ["experts.w2", "mlp.gate"]}),
    ("mixtral", "ForCausalLM", {"target_modules": r".*(w2|o_proj)"}),
    ("mixtral", "ForCausalLM", {"target_parameters": ["experts.gate_up_proj"]}),
    ("mixtral", "ForCausalLM", {"target_parameters": ["down_proj", "gate.weight"],
                                "target_modules": ["q_proj"], "rank_pattern": {"down_proj": 2}}),
    ("qwen2_moe", "ForCausalLM", {"target_modules": "all-linear"}),
    ("qwen2_moe", "ForCausalLM", {"target_modules": ["down_proj"],
                                  "target_parameters": ["gate_up_proj", "gate.weight"]}),
    ("qwen3_moe", "ForCausalLM", {"target_modules": ["gate_proj", "up_proj", "down_proj", "gate"]}),
    ("gpt2", "LMHeadModel", {}), ("gpt2", "LMHeadModel", {"target_modules": "all-linear"}),
    ("bert", "ForMaskedLM", {}), ("roberta", "ForMaskedLM", {}), ("distilbert", "ForMaskedLM", {}),
    ("t5", "ForConditionalGeneration", {}), ("bart", "ForConditionalGeneration", {}),
    ("gpt_bigcode", "ForCausalLM", {}),
    ("t5", "ForConditionalGeneration", {"target_modules": ["SelfAttention.o", "wi"]}),
    ("bert", "ForSequenceClassification", {"target_modules": "all-linear", "task_type": "SEQ_CLS"}),
]


def adapted(model):
    return {path.split(".lora_A")[0] for path, _ in model.named_parameters() if ".lora_A." in path}


@pytest.mark.parametrize(("kind", "suffix", "options"), SAME)
def test_same_layers_as_peft(kind, suffix, options):
    if kind == "distilbert" and not options:
        options = {"target_modules": ["q_lin", "v_lin"]}  # as peft has it
    pair = fresh(kind, suffix)
    theirs = peft.get_peft_model(pair.theirs, peft.LoraConfig(**options))
    ours = adapt.get_peft_model(pair.ours, adapt.LoraConfig(**options))
    assert adapted(ours) == adapted(theirs)
    assert ours.get_nb_trainable_parameters() == theirs.get_nb_trainable_parameters()


@pytest.mark.parametrize(("kind", "ours", "theirs"), [
    ("llama", ["attn.q", "mlp.down"], ["q_proj", "down_proj"]),
    ("gpt2", ["attn.qkv"], ["c_attn"]), ("bert", ["attn.k"], ["key"])])
def test_our_spelling(kind, ours, theirs):
    suffix = {"gpt2": "LMHeadModel", "bert": "ForMaskedLM"}.get(kind, "ForCausalLM")
    found = [adapted(adapt.get_peft_model(fresh(kind, suffix).ours,
                                          adapt.LoraConfig(target_modules=names)))
             for names in (ours, theirs)]
    assert found[0] == found[1]


@pytest.mark.parametrize(("options", "message"), [
    ({"target_modules": ["q_prj", "v_proj"]},
     r"no layer fits 'q_prj' \(nearest: 'q_proj'.*of target_modules.*down_proj"),
    ({"target_modules": ["query_key_value"]}, "no layer fits 'query_key_value'"),
    ({"target_modules": r".*nothing"}, "no layer fits '.*nothing'"),
    ({"target_modules": ["self_attn"]}, "fits 'model.layers.0.self_attn', a"),
    ({"target_modules": ["q_proj"], "layers_to_transform": [1, 7]}, r"names \[7\].*\[0, 1\]"),
    ({"target_modules": ["q_proj"], "exclude_modules": ["q_proj"]}, "leave no layer"),
    ({"target_modules": ["q_proj"], "modules_to_save": ["lm_hed"]},
     r"no layer fits 'lm_hed' \(nearest: 'lm_head'"),
])
def test_patterns_that_do_not_fit(options, message):
    model = fresh("llama", "ForCausalLM").ours
    before = dict(model.named_parameters())
    with pytest.raises(ValueError, match=message):
        adapt.get_peft_model(model, adapt.LoraConfig(**options))
    assert dict(model.named_parameters()).keys() == before.keys()


def test_any_module():
    """A model of one's own; its usual targets are not known."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    with pytest.raises(ValueError, match="target_modules is None.*it has 0, 2"):
        adapt.get_peft_model(model, adapt.LoraConfig())
    tuned = adapt.get_peft_model(model, adapt.LoraConfig(target_modules=["0"], r=2))
    tuned(torch.ones(3, 4)).sum().backward()
    assert [path for path, p in tuned.named_parameters() if p.grad is not None] == [
        "base_model.model.0.lora_A.default.weight", "base_model.model.0.lora_B.default.weight"]
