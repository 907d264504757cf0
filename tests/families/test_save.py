"""Checkpoints go both ways between transformers and here, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.families.pairs import (
    ARCHITECTURES,
    CASES,
    LANGUAGE,
    close,
    fresh,
    ids,
    our_class,
    pair,
    same_outputs,
    their_class,
)
from tests.families.tiny import TINY

ORACLE = """
import json, sys, torch, transformers
found = {}
for line in sys.argv[1:]:
    folder, name, inputs = line.split("|")
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    given = torch.load(inputs)
    with torch.no_grad():
        output = model.eval()(**given)
    torch.save(next(v for v in output.values() if isinstance(v, torch.Tensor)), inputs + ".out")
    found[name] = [sorted(info["missing_keys"]), sorted(info["unexpected_keys"])]
print(json.dumps(found))
"""
SAMPLE = [("bert", "ForPreTraining"), ("roberta", "ForSequenceClassification"),
          ("distilbert", "ForMaskedLM"), ("gpt2", "LMHeadModel"), ("gpt_bigcode", "ForCausalLM"),
          ("llama", "ForCausalLM"), ("mistral", "ForCausalLM"), ("mixtral", "ForCausalLM"),
          ("qwen2", "ForCausalLM"), ("qwen2_moe", "ForCausalLM"), ("marian", "MTModel"),
          ("bart", "ForConditionalGeneration"), ("t5", "ForConditionalGeneration")]


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_saved_copy_is_byte_equal(case: tuple[str, str, str], tmp_path: Path) -> None:
    both = pair(*case)
    both.ours.save_pretrained(tmp_path)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path, both.folder))
    dead = set(theirs) - set(ours) if "untied" in case else set()
    assert set(ours) == set(theirs) - dead and len(dead) < 2
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name]), name
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    ours_config, theirs_config = (json.loads((folder / "config.json").read_text())
                                  for folder in (tmp_path, both.folder))
    assert ours_config == theirs_config


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_transformers_loads_what_we_save(case: tuple[str, str, str], tmp_path: Path) -> None:
    both = pair(*case)
    both.ours.save_pretrained(tmp_path)
    theirs, info = their_class(*case[:2]).from_pretrained(tmp_path, output_loading_info=True)
    unused = {"cls.predictions.bias", "lm_head.bias"} if "untied" in case else set()
    assert not set(info["missing_keys"]) - unused and not info["unexpected_keys"]
    given = both.inputs()
    with torch.no_grad():
        same_outputs(both.ours(**given), theirs.eval()(**given))


def test_transformers_4_loads_what_we_save(tmp_path: Path, oracle457: Callable[..., Any]) -> None:
    lines = []
    for case in SAMPLE:
        both, folder = pair(*case), tmp_path / case[0]
        both.ours.save_pretrained(folder)
        torch.save(both.inputs("right"), folder / "inputs")
        lines.append(f"{folder}|{type(both.ours).__name__}|{folder / 'inputs'}")
    found = oracle457(ORACLE, *lines)
    for case in SAMPLE:
        both, folder = pair(*case), tmp_path / case[0]
        given = both.inputs("right")
        with torch.no_grad():
            output = both.ours(**given)
        mask = given.get("attention_mask")
        ours = next(value for value in output.values() if isinstance(value, torch.Tensor))
        theirs = torch.load(folder / "inputs.out")
        if mask is not None and ours.shape[:2] == mask.shape and not both.encdec:
            ours, theirs = ours[mask.bool()], theirs[mask.bool()]
        close(ours, theirs)
        assert found[type(both.ours).__name__] == [[], []]


@pytest.mark.parametrize("case", LANGUAGE, ids=ids)
def test_fresh_models_are_read_by_transformers(case: tuple[str, str, str], tmp_path: Path) -> None:
    config = our_class(*case[:2]).config_class(**TINY[case[0]].config(case[2]))
    model = our_class(*case[:2])(config).eval()
    model.save_pretrained(tmp_path)
    theirs = their_class(*case[:2]).from_pretrained(tmp_path).eval()
    given = pair(*case).inputs()
    with torch.no_grad():
        same_outputs(model(**given), theirs(**given))
        again = our_class(*case[:2]).from_pretrained(tmp_path)
        same_outputs(again(**given), theirs(**given))


@pytest.mark.parametrize("case", [case for case in LANGUAGE if case[2] == "base"], ids=ids)
def test_shards_and_pickles(case: tuple[str, str, str], tmp_path: Path) -> None:
    both = pair(*case)
    given = both.inputs()
    forms: dict[str, dict[str, Any]] = {
        "shards": {"max_shard_size": "8KB"}, "pickle": {"safe_serialization": False},
        "pickled shards": {"safe_serialization": False, "max_shard_size": 8000},
        "variant": {"variant": "fp16"}}
    with torch.no_grad():
        wanted = both.ours(**given)
        for form, options in forms.items():
            folder = tmp_path / form
            both.ours.save_pretrained(folder, **options)
            assert (len(list(folder.glob("*model*"))) > 2) == ("shards" in form)
            variant = options.get("variant")
            again = our_class(*case[:2]).from_pretrained(folder, variant=variant)
            same_outputs(again(**given), wanted, 0)
            if form == "shards":
                same_outputs(their_class(*case[:2]).from_pretrained(folder).eval()(**given), wanted)


@pytest.mark.parametrize("case", ARCHITECTURES, ids=ids)
def test_loading_twice_is_bit_equal(case: tuple[str, str]) -> None:
    both = pair(*case)
    again = our_class(*case).from_pretrained(both.folder)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, both.ours.state_dict()[name]), name


def test_generation_config_is_kept(tmp_path: Path) -> None:
    both = fresh("llama", "ForCausalLM")
    both.ours.generation_config.max_new_tokens = 7
    both.ours.save_pretrained(tmp_path)
    again = our_class("llama", "ForCausalLM").from_pretrained(tmp_path)
    assert again.generation_config.max_new_tokens == 7
    assert json.loads((tmp_path / "generation_config.json").read_text())["max_new_tokens"] == 7


def test_config_edits_are_saved(tmp_path: Path) -> None:
    both = fresh("bert", "ForSequenceClassification")
    both.ours.config.id2label = {0: "bad", 1: "so so", 2: "good"}
    both.ours.config.hidden_dropout_prob = 0.25
    both.ours.save_pretrained(tmp_path)
    theirs = their_class("bert", "ForSequenceClassification").from_pretrained(tmp_path).config
    assert (theirs.id2label[1], theirs.label2id["good"]) == ("so so", 2)
    assert theirs.hidden_dropout_prob == 0.25


def test_half_precision_is_saved_as_such(tmp_path: Path) -> None:
    both = fresh("llama", "ForCausalLM")
    both.ours.half().save_pretrained(tmp_path)
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"
    load = our_class("llama", "ForCausalLM").from_pretrained
    assert load(tmp_path).dtype == torch.float16
    assert load(tmp_path, torch_dtype=torch.float32).dtype == torch.float32
    assert load(tmp_path, dtype="bfloat16").dtype == torch.bfloat16


def test_given_state(tmp_path: Path) -> None:
    both = fresh("bert", "ForMaskedLM")
    state = {name: torch.zeros_like(tensor) for name, tensor in both.ours.state_dict().items()}
    both.ours.save_pretrained(tmp_path, state_dict=state)
    assert not any(t.any() for t in load_file(tmp_path / "model.safetensors").values())
    both.ours.save_pretrained(tmp_path / "other", is_main_process=False)
    assert not (tmp_path / "other").exists()


def test_old_spellings_of_norms_load(tmp_path: Path) -> None:
    both = pair("bert", "ForMaskedLM")
    tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(both.folder / "model.safetensors").items()}
    _write(tmp_path, both.folder, tensors)
    again = our_class("bert", "ForMaskedLM").from_pretrained(tmp_path)
    with torch.no_grad():
        same_outputs(again(**both.inputs()), both.ours(**both.inputs()), 0)


def test_prefixless_gpt2_loads(tmp_path: Path) -> None:
    both = pair("gpt2", "LMHeadModel")
    tensors = {name.removeprefix("transformer."): tensor
               for name, tensor in load_file(both.folder / "model.safetensors").items()}
    tensors |= {"h.0.attn.bias": torch.ones(1, 1, 4, 4).tril(),
                "h.1.attn.masked_bias": torch.tensor(-1e4)}
    _write(tmp_path, both.folder, tensors)
    again, info = our_class("gpt2", "LMHeadModel").from_pretrained(tmp_path,
                                                                   output_loading_info=True)
    assert not info["missing_keys"]
    with torch.no_grad():
        same_outputs(again(**both.inputs()), both.ours(**both.inputs()), 0)
    again.save_pretrained(tmp_path / "saved")
    assert set(load_file(tmp_path / "saved" / "model.safetensors")) == set(
        load_file(both.folder / "model.safetensors"))


def _write(folder: Path, like: Path, tensors: dict[str, torch.Tensor]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text((like / "config.json").read_text())
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
