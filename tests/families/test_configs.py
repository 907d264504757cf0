"""Configs mean what transformers' do: defaults, synonyms, derived values, files old and new."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import enfold
from enfold.errors import ConfigError
from enfold.models.registry import FAMILIES, get_family
from tests.families.pairs import close, fresh, ids, our_class, pair
from tests.families.tiny import TINY

UNUSED = {"transformers_version", "model_type"}
# transformers sets it to None or 0 where it is not used
REWRITTEN = {kind: {"sliding_window"} for kind in ("qwen2", "qwen2_moe", "qwen3_moe")}
GONE = {"t5": {"decoder_start_token_id"}}  # of transformers 4: None, so that T5 could not train
DEFAULTS_457 = """
import json, transformers
print(json.dumps({name: getattr(transformers, name)().to_dict() for name in sys.argv[1:]}))
"""


def titles() -> dict[str, str]:
    """model_type -> config class name."""
    return {kind: f"{get_family(kind).title}Config" for kind in FAMILIES}


@pytest.mark.parametrize("kind", FAMILIES)
def test_defaults_are_theirs(kind: str) -> None:
    theirs = getattr(transformers, titles()[kind])().to_dict()
    ours = getattr(enfold, titles()[kind])()
    for name in set(theirs) - UNUSED - REWRITTEN.get(kind, set()):
        assert name in ours, name
        assert getattr(ours, name) == theirs[name], name
        assert ours[name] == theirs[name], name


def test_defaults_are_those_of_transformers_4(oracle457: Callable[..., Any]) -> None:
    found = oracle457("import sys\n" + DEFAULTS_457, *titles().values())
    for kind, name in titles().items():
        ours = getattr(enfold, name)()
        skipped = UNUSED | REWRITTEN.get(kind, set()) | GONE.get(kind, set()) | {"head_dim"}
        for key, value in found[name].items():
            if key in skipped or key not in ours:
                continue
            mine = ours[key]
            mine = {str(k): v for k, v in mine.items()} if key == "id2label" else mine
            assert mine == value, f"{kind}.{key}"


@pytest.mark.parametrize("kind", FAMILIES)
def test_synonyms(kind: str) -> None:
    theirs = getattr(transformers, titles()[kind])(**TINY[kind].config())
    ours = getattr(enfold, titles()[kind])(**TINY[kind].config())
    for name in ("hidden_size", "num_attention_heads", "num_hidden_layers"):
        assert getattr(ours, name) == getattr(theirs, name)
        setattr(ours, name, 64)
        setattr(theirs, name, 64)
    saved, reference = ours.to_dict(), theirs.to_dict()
    for name, value in reference.items():
        if name in saved and name not in {"head_dim"} | UNUSED | REWRITTEN.get(kind, set()):
            assert saved[name] == value, name


@pytest.mark.parametrize("kind", FAMILIES)
def test_written_by_hand(kind: str) -> None:
    """A config without any file builds a model, and config.json of it is read by transformers."""
    config = getattr(enfold, titles()[kind])(**TINY[kind].config())
    with torch.device("meta"):
        model = enfold.AutoModel.from_config(config)
    theirs = getattr(transformers, titles()[kind])(**json.loads(config.to_json_string()))
    with torch.device("meta"):
        reference = transformers.AutoModel.from_config(theirs)
    assert model.num_parameters() == reference.num_parameters()


@pytest.mark.parametrize("kind", FAMILIES)
def test_files_round_trip(kind: str, tmp_path: Path) -> None:
    theirs = getattr(transformers, titles()[kind])(**TINY[kind].config(), custom={"a": [1]})
    theirs.save_pretrained(tmp_path)
    config = enfold.AutoConfig.from_pretrained(tmp_path)
    config.save_pretrained(tmp_path / "again")
    before, after = (json.loads((folder / "config.json").read_text())
                     for folder in (tmp_path, tmp_path / "again"))
    assert before == after
    assert config.custom == {"a": [1]} and type(config).__name__ == titles()[kind]
    for twin in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert twin == config
        twin.vocab_size = 1
        assert twin != config


ROPES = [
    ({"rope_theta": 5e5}, 5e5, None),
    ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, 5e5, None),
    ({}, 1e4, None),
    ({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}}, 5e5, "linear"),
    ({"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, 5e5, "linear"),
    ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}}, 5e5, "linear"),
]


@pytest.mark.parametrize(("values", "theta", "kind"), ROPES)
def test_rope_is_read_in_either_spelling(values: dict[str, Any], theta: float, kind: str | None,
                                         tmp_path: Path) -> None:
    config = enfold.LlamaConfig(**TINY["llama"].config(), **values)
    config.save_pretrained(tmp_path)
    for found in (config, enfold.LlamaConfig.from_dict({"model_type": "llama", **values}),
                  enfold.AutoConfig.from_pretrained(tmp_path)):
        assert found.rope_theta == theta
        assert found.rope_parameters["rope_theta"] == theta
        assert found.rope_parameters["rope_type"] == (kind or "default")
        scaling = found.rope_scaling or {}
        assert (scaling.get("rope_type") or scaling.get("type")) == kind
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    assert theirs.rope_parameters["rope_theta"] == theta
    assert theirs.rope_parameters["rope_type"] == (kind or "default")


@pytest.mark.parametrize("name", ["linear", "dynamic", "llama3", "yarn", "longrope"])
def test_rope_of_old_files_gives_the_same_model(name: str) -> None:
    """`rope_theta` and `rope_scaling` mean what `rope_parameters` does."""
    both = fresh("llama", "ForCausalLM", name)  # theirs remembers the longest text it has seen
    values = json.loads((both.folder / "config.json").read_text())
    scaling = values.pop("rope_parameters")
    values |= {"rope_theta": scaling.pop("rope_theta"), "rope_scaling": scaling}
    scaling["type"] = scaling.pop("rope_type")
    old = enfold.LlamaConfig.from_dict(values)
    model = our_class("llama", "ForCausalLM").from_pretrained(both.folder, config=old)
    given = both.inputs(length=12)
    with torch.no_grad():
        close(model(**given).logits, both.theirs(**given).logits)


def test_labels_stay_consistent() -> None:
    config = enfold.BertConfig(num_labels=4)
    assert config.num_labels == 4 and config.id2label[3] == "LABEL_3"
    config.id2label = {0: "a", 1: "b"}
    assert (config.num_labels, config.label2id) == (2, {"a": 0, "b": 1})
    config.num_labels = 2
    assert config.id2label == {0: "a", 1: "b"}
    config.num_labels = 3
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    named = enfold.BertConfig(label2id={"x": 0, "y": 1}, id2label={"0": "x", "1": "y"})
    assert named.id2label == {0: "x", 1: "y"} and named.label2id == {"x": 0, "y": 1}
    with pytest.raises(ConfigError, match="num_labels=3 but id2label names 2 labels"):
        enfold.BertConfig(num_labels=3, id2label={0: "a", 1: "b"})


def test_attributes_and_items() -> None:
    config = enfold.GPT2Config(n_embd=12)
    config["n_layer"] = 3
    config.update({"n_head": 2, "mine": 1})
    assert (config.hidden_size, config.num_hidden_layers, config["n_head"]) == (12, 3, 2)
    assert "mine" in config and "absent" not in config and config.get("absent", 5) == 5
    assert config.to_diff_dict() == {"n_embd": 12, "n_layer": 3, "n_head": 2, "mine": 1,
                                     "model_type": "gpt2"}
    assert config.get_text_config() is config
    assert config.torch_dtype is None
    config.torch_dtype = torch.float16
    assert config.dtype == "float16"
    with pytest.raises(AttributeError, match=r"GPT2Config has no attribute 'n_layrs' "
                                             r"\(nearest: 'n_layer'"):
        config.n_layrs  # noqa: B018
    with pytest.raises(KeyError):
        config["n_layrs"]


def test_unused_arguments_come_back(tmp_path: Path) -> None:
    enfold.BertConfig(hidden_size=8).save_pretrained(tmp_path)
    for cls in (enfold.AutoConfig, enfold.BertConfig):
        config, unused = cls.from_pretrained(tmp_path, hidden_size=16, foo=3,
                                             return_unused_kwargs=True)
        assert (config.hidden_size, unused) == (16, {"foo": 3})
        assert cls.from_pretrained(tmp_path, foo=3).foo == 3
    assert enfold.BertConfig.from_json_file(tmp_path / "config.json").hidden_size == 8


def test_other_families_are_refused(tmp_path: Path) -> None:
    enfold.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="config.json is of model_type 'bert', expected 'llama' "
                                          "for LlamaConfig. Do: use AutoConfig"):
        enfold.LlamaConfig.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="config.json is of model_type 'bert', expected 'llama'"):
        enfold.LlamaForCausalLM.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="BertModel got a config of 'llama', expected 'bert'. "
                                          "Do: use BertConfig"):
        enfold.BertModel(enfold.LlamaConfig())
    with pytest.raises(ConfigError, match="AutoModelForSeq2SeqLM: the family 'bert' has no such "
                                          "head. It has: BertModel, .*Families that do: bart"):
        enfold.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(("written", "message"), [
    ({"model_type": "lama"}, r"unknown model_type 'lama' \(nearest: 'llama'\). Expected one of: "
                             r"bart, bert, .*Do: check config.json"),
    ({"hidden_size": 3}, "config.json has no model_type, so the family can't be told. Do: add it"),
    ([1], "holds a JSON list. Expected an object"),
])
def test_unreadable_configs(written: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(ConfigError, match=message):
        enfold.AutoConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("case", [(kind, tiny.lm) for kind, tiny in TINY.items()], ids=ids)
def test_old_files_without_newer_keys(case: tuple[str, str], tmp_path: Path) -> None:
    """A config.json with nothing but what differs from the defaults gives the same model."""
    both = pair(*case)
    config = enfold.AutoConfig.from_pretrained(both.folder)
    (tmp_path / "config.json").write_text(json.dumps(config.to_diff_dict()))
    (tmp_path / "model.safetensors").symlink_to(both.folder / "model.safetensors")
    model = our_class(*case).from_pretrained(tmp_path)
    with torch.no_grad():
        close(model(**both.inputs()).logits, both.ours(**both.inputs()).logits, 0)
