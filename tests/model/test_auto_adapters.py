"""An adapter's folder is enough: it names its base model."""

from __future__ import annotations

import json

import peft
import pytest
import torch

from enfold import AutoModelForCausalLM, AutoModelForSequenceClassification, adapt, auto
from tests.adapt.tuned import shake
from tests.families.pairs import fresh, same_outputs


def build(folder, kind="llama", suffix="ForCausalLM", resize=None, **options):
    pair = fresh(kind, suffix)
    if resize:
        pair.ours.resize_token_embeddings(resize)
    model = adapt.get_peft_model(pair.ours, adapt.LoraConfig(**options))
    shake(model)
    model.save_pretrained(folder)
    return pair, model.eval()


@pytest.mark.parametrize(("load", "options"), [
    (auto.AutoPeftModelForCausalLM, {}), (auto.AutoPeftModel, {"task_type": "CAUSAL_LM"}),
    (auto.AutoPeftModel, {}), (AutoModelForCausalLM, {}),
    (auto.AutoPeftModelForCausalLM, {"resize": 60})])
def test_loads(load, options, tmp_path):
    pair, model = build(tmp_path, **options)
    inputs = pair.inputs()
    with torch.no_grad():
        same_outputs(load.from_pretrained(tmp_path)(**inputs), model(**inputs))
        if "resize" not in options:
            theirs = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path)
            same_outputs(model(**inputs), theirs(**inputs))


def test_classifier(tmp_path):
    pair, model = build(tmp_path, "bert", "ForSequenceClassification", task_type="SEQ_CLS")
    for load in (auto.AutoPeftModelForSequenceClassification, AutoModelForSequenceClassification):
        loaded = load.from_pretrained(tmp_path, num_labels=3)
        with torch.no_grad():
            same_outputs(loaded(**pair.inputs()), model(**pair.inputs()))


def test_trainable(tmp_path):
    build(tmp_path)
    loaded = auto.AutoPeftModelForCausalLM.from_pretrained(tmp_path, is_trainable=True)
    assert loaded.training and loaded.get_nb_trainable_parameters()[0] > 0


def test_errors(tmp_path):
    pair, _ = build(tmp_path)
    with pytest.raises(OSError, match="has no adapter_config.json"):
        auto.AutoPeftModelForCausalLM.from_pretrained(pair.folder)
    with pytest.raises(TypeError, match="is not made directly"):
        auto.AutoPeftModelForCausalLM()
    path = tmp_path / "adapter_config.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "base_model_name_or_path": None}))
    with pytest.raises(ValueError, match="has no base_model_name_or_path"):
        auto.AutoPeftModelForCausalLM.from_pretrained(tmp_path)
    path.write_text(json.dumps({**held, "auto_mapping": None}))
    with pytest.raises(ValueError, match="neither a task_type nor a base_model_class"):
        auto.AutoPeftModel.from_pretrained(tmp_path)
