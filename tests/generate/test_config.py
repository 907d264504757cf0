"""GenerationConfig: the file as transformers reads and writes it, and one resolved
configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers as hf

from enfold.generate.config import DEFAULTS, FIELDS, GenerationConfig
from enfold.generate.resolve import resolve

VALUES: dict[str, Any] = {"max_new_tokens": 7, "do_sample": True, "temperature": 0.6, "top_p": 0.9,
                          "eos_token_id": [2, 5], "pad_token_id": 0, "bad_words_ids": [[1, 2]]}


def model(**values: Any) -> Any:
    """Something with a checkpoint's configuration."""
    return SimpleNamespace(generation_config=GenerationConfig.from_dict(values))


def test_fields_and_defaults_are_those_of_the_reference() -> None:
    theirs = set(hf.GenerationConfig().to_dict()) - {"_from_model_config"}
    assert theirs <= FIELDS
    defaults = hf.GenerationConfig._get_default_generation_params()
    assert {k: v for k, v in defaults.items() if k in DEFAULTS} == {
        k: v for k, v in DEFAULTS.items() if k in defaults}


def test_what_we_save_transformers_reads(tmp_path: Path) -> None:
    GenerationConfig(**VALUES).save_pretrained(tmp_path)
    theirs = hf.GenerationConfig.from_pretrained(tmp_path)
    assert {name: getattr(theirs, name) for name in VALUES} == VALUES
    theirs.save_pretrained(tmp_path / "again")
    ours, again = (json.loads((folder / "generation_config.json").read_text())
                   for folder in (tmp_path, tmp_path / "again"))
    assert ours == again


def test_what_transformers_saves_we_read_and_write_back(tmp_path: Path) -> None:
    hf.GenerationConfig(**VALUES, lang_to_id={"<|en|>": 4}).save_pretrained(tmp_path)
    text = (tmp_path / "generation_config.json").read_text()
    ours = GenerationConfig.from_pretrained(tmp_path)
    assert ours.temperature == 0.6
    assert ours.lang_to_id == {"<|en|>": 4}
    ours.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "generation_config.json").read_text() == text


def test_4_57_reads_what_we_save(tmp_path: Path, oracle457: Any) -> None:
    GenerationConfig(**VALUES).save_pretrained(tmp_path)
    read = oracle457("import json, sys, transformers as t\n"
                     "print(json.dumps(t.GenerationConfig.from_pretrained(sys.argv[1]).to_dict()))",
                     tmp_path)
    assert {name: read[name] for name in VALUES} == VALUES


def test_other_file_names_unused_arguments_and_overrides(tmp_path: Path) -> None:
    GenerationConfig(top_k=3).save_pretrained(tmp_path, "mine.json")
    config, unused = GenerationConfig.from_pretrained(
        tmp_path, "mine.json", top_k=4, foo=1, return_unused_kwargs=True, local_files_only=True)
    assert (config.top_k, unused) == (4, {"foo": 1})


def test_sequence_bias_survives_the_file(tmp_path: Path) -> None:
    GenerationConfig(sequence_bias={(1, 2): -1.5}).save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).sequence_bias == [[[1, 2], -1.5]]


@pytest.mark.parametrize("values", [
    {"model_type": "bart", "num_beams": 4, "max_length": 142, "eos_token_id": 2, "d_model": 16},
    {"model_type": "x", "decoder": {"eos_token_id": 9, "num_beams": 2}, "bos_token_id": 1},
    {"bos_token_id": 1, "force_bos_token_to_be_generated": True},
    {"output_attentions": True, "top_k": None},
])
def test_from_model_config(values: dict[str, Any]) -> None:
    ours, theirs = (
        cls.from_model_config(dict(values)) for cls in (GenerationConfig, hf.GenerationConfig)
    )
    for name in FIELDS - {"transformers_version"}:
        assert getattr(ours, name) == getattr(theirs, name, None), name


def test_update_equality_and_text() -> None:
    config = GenerationConfig(top_k=3)
    assert config.update(top_k=4, foo=1) == {"foo": 1}
    assert config.update(top_k=5, num_beams=2, defaults_only=True) == {}
    assert (config.top_k, config.num_beams) == (4, 2)
    assert config == GenerationConfig(top_k=4, num_beams=2)
    assert hash(config) == hash(GenerationConfig(top_k=4, num_beams=2))
    assert str(config) == 'GenerationConfig {\n  "num_beams": 2,\n  "top_k": 4\n}\n'


def test_resolved_precedence() -> None:
    checkpoint = model(temperature=0.6, top_p=0.9, max_length=512, eos_token_id=[4, 5], num_beams=2)
    call = GenerationConfig(top_p=0.8, do_sample=True)
    found = resolve(checkpoint, call, temperature=0.7, num_beams=1)
    assert (found.temperature, found.top_p, found.max_length, found.num_beams) == (0.7, 0.8, 512, 1)
    assert (found.do_sample, found.top_k, found.pad_token_id) == (True, 50, 4)
    assert '"top_p": 0.8' in str(found)
    assert resolve(checkpoint, use_model_defaults=False).num_beams == 1


def test_none_turns_a_checkpoints_value_off() -> None:
    found = resolve(
        model(temperature=0.6, do_sample=True, eos_token_id=2),
        temperature=None,
        top_k=None,
        eos_token_id=None,
    )
    assert (found.temperature, found.top_k, found.eos_token_id) == (None, None, None)
    assert resolve(model(num_beams=3), num_beams=None).num_beams == 1


def test_a_length_given_one_way_replaces_the_checkpoints_other() -> None:
    assert resolve(model(max_new_tokens=256), max_length=30).max_new_tokens is None
    assert resolve(model(max_length=30), max_new_tokens=4).max_new_tokens == 4
    read = GenerationConfig.from_dict({"max_length": 20, "temperature": 0.7})
    read.max_new_tokens = 5
    assert resolve(model(), read).max_new_tokens == 5


def test_leftovers_of_a_checkpoint_do_not_raise() -> None:
    checkpoint = model(temperature=0.6, top_p=0.9, length_penalty=2.0, early_stopping=True,
                       output_scores=True, cache_implementation="hybrid", min_length=56)
    assert resolve(checkpoint).do_sample is False
    read = GenerationConfig.from_dict({"temperature": 0.6})
    assert resolve(model(), read).do_sample is False
    sampling = GenerationConfig(temperature=0.6, do_sample=True)
    assert resolve(model(), sampling, do_sample=False).do_sample is False


def test_no_torch() -> None:
    code = ("import sys, enfold.generate.config, enfold.generate.resolve; "
            "sys.exit('torch' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
