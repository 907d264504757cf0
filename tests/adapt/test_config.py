"""adapter_config.json, and what a configuration refuses."""

from __future__ import annotations

import json
from dataclasses import fields

import peft
import pytest

from enfold import adapt
from enfold.adapt.config import FORMAT

VALUES = {"r": 4, "lora_alpha": 16, "target_modules": ["a", "b"], "bias": "lora_only",
          "task_type": "CAUSAL_LM", "rank_pattern": {"x": 2}, "modules_to_save": ["score"]}


def test_every_field_of_peft():
    ours, theirs = ({f.name for f in fields(kind)} for kind in (adapt.LoraConfig, peft.LoraConfig))
    assert ours == theirs


def test_file_both_ways(tmp_path):
    adapt.LoraConfig(**VALUES).save_pretrained(tmp_path)
    held = json.loads((tmp_path / "adapter_config.json").read_text())
    theirs = peft.PeftConfig.from_pretrained(str(tmp_path))
    assert held["peft_version"] == FORMAT
    assert {**theirs.to_dict(), "target_modules": sorted(theirs.target_modules)} == {
        **peft.LoraConfig(**VALUES).to_dict(), "target_modules": ["a", "b"],
        "peft_version": FORMAT}
    theirs.save_pretrained(str(tmp_path))
    again = adapt.PeftConfig.from_pretrained(tmp_path, inference_mode=False)
    assert again == adapt.LoraConfig(**VALUES)


def test_newer_fields(tmp_path):
    adapt.LoraConfig(**VALUES).save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "from_the_future": None, "another": False}))
    assert adapt.PeftConfig.from_pretrained(tmp_path).r == 4
    path.write_text(json.dumps({**held, "from_the_future": 3}))
    with pytest.raises(ValueError, match="LoraConfig does not know from_the_future=3"):
        adapt.PeftConfig.from_pretrained(tmp_path)
    path.write_text(json.dumps({**held, "peft_type": "LORAA"}))
    with pytest.raises(ValueError, match=r"peft_type is 'LORAA', expected one of .*LORA"):
        adapt.PeftConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(("values", "kind", "message"), [
    ({"lora_alfa": 3}, TypeError, r"unknown argument 'lora_alfa' \(nearest: 'lora_alpha'"),
    ({"r": 0}, ValueError, "r is 0"), ({"bias": "some"}, ValueError, "bias is 'some'"),
    ({"task_type": "LM"}, ValueError, "task_type is 'LM'"),
    ({"use_qalora": True}, NotImplementedError, "use_qalora=True is not built"),
    ({"layer_replication": [[0, 2]]}, NotImplementedError, "layer_replication"),
    ({"init_lora_weights": "eva"}, NotImplementedError, "init_lora_weights='eva' is not built"),
    ({"init_lora_weights": "loftq"}, ValueError, "go together"),
    ({"lora_bias": True, "use_dora": True}, ValueError, "lora_bias=True goes with"),
    ({"target_modules": "x", "layers_to_transform": 1}, ValueError, "goes with a list"),
    ({"layers_pattern": "h"}, ValueError, "without layers_to_transform"),
])
def test_refused(values, kind, message):
    with pytest.raises(kind, match=message):
        adapt.LoraConfig(**values)
