"""A folder that holds an adapter alone still says what the labels are called."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import peft
import transformers

import enfold
from enfold import adapt
from tests.families.pairs import fresh

NAMES = {0: "NEGATIVE", 1: "POSITIVE"}
CONFIG = {"task_type": "SEQ_CLS", "target_modules": ["query"], "r": 2}


def saved(base: Path, folder: Path, labels: dict[int, str] = NAMES) -> Path:
    model = enfold.AutoModelForSequenceClassification.from_pretrained(base, id2label=labels)
    adapt.get_peft_model(model, adapt.LoraConfig(**CONFIG)).save_pretrained(folder)
    return folder


def test_labels_come_back(minilm: Path, tmp_path: Path) -> None:
    folder = saved(minilm, tmp_path)
    assert json.loads((folder / "labels.json").read_text()) == {
        "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}
    model = enfold.AutoPeftModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == NAMES
    assert model.config.label2id == {"NEGATIVE": 0, "POSITIVE": 1}
    found = enfold.pipeline("text-classification", model=str(folder), tokenizer=str(minilm))(
        "I love this movie!")
    assert found[0]["label"] in NAMES.values()
    plain = enfold.AutoModelForSequenceClassification.from_pretrained(minilm)
    plain.load_adapter(folder)
    assert plain.config.id2label == NAMES
    merged = model.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    assert enfold.AutoConfig.from_pretrained(tmp_path / "merged").id2label == NAMES


def test_their_number_comes_back(minilm: Path, tmp_path: Path) -> None:
    three = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    folder = saved(minilm, tmp_path, three)
    model = enfold.AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == three and model.config.num_labels == 3


def test_names_that_are_there_stay(minilm: Path, tmp_path: Path) -> None:
    folder, mine = saved(minilm, tmp_path), {0: "bad", 1: "good"}
    base = enfold.AutoModelForSequenceClassification.from_pretrained(minilm, id2label=mine)
    assert adapt.PeftModel.from_pretrained(base, folder).config.id2label == mine
    model = enfold.AutoPeftModelForSequenceClassification.from_pretrained(folder, id2label=mine)
    assert model.config.id2label == mine


def test_peft_reads_the_folder(minilm: Path, tmp_path: Path) -> None:
    folder = saved(minilm, tmp_path)
    base = transformers.AutoModelForSequenceClassification.from_pretrained(minilm)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = peft.PeftModel.from_pretrained(base, folder)
    assert model.peft_config["default"].r == 2


def test_no_head_no_labels(tmp_path: Path) -> None:
    for suffix, config in (("ForCausalLM", {"target_modules": ["q_proj"]}),
                           ("ForCausalLM", {"modules_to_save": ["lm_head"]})):
        model = fresh("llama", suffix).ours
        model.config.id2label = None
        adapt.get_peft_model(model, adapt.LoraConfig(**config)).save_pretrained(tmp_path)
        assert not (tmp_path / "labels.json").exists()
