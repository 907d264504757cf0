"""What an adapter brings is not said to be new; what it lacks is."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import transformers
from safetensors.torch import load_file, save_file

import enfold
from enfold import adapt
from enfold.errors import InputError

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 48}
METHODS = {"lora": adapt.LoraConfig(task_type="SEQ_CLS", target_modules=["query"]),
           "prompt": adapt.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)}
AUTO = (enfold.AutoModelForSequenceClassification, enfold.AutoPeftModelForSequenceClassification)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    config = transformers.BertConfig(**SIZES)
    transformers.BertModel(config).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def saved(base: Path, method: str) -> Path:
    model = enfold.AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    config = copy.deepcopy(METHODS[method])
    adapt.get_peft_model(model, config).save_pretrained(base.parent / method)
    return base.parent / method


@pytest.mark.parametrize(("method", "auto"), [("lora", AUTO[0]), ("lora", AUTO[1]),
                                              ("prompt", AUTO[1])])
def test_a_head_that_the_adapter_fills(base: Path, method: str, auto: type,
                                       caplog: pytest.LogCaptureFixture) -> None:
    folder = saved(base, method)
    assert "newly initialised: classifier.weight, classifier.bias" in caplog.text
    caplog.clear()
    model = auto.from_pretrained(folder, num_labels=3)  # type: ignore[attr-defined]
    assert "initialised" not in caplog.text
    held = load_file(folder / "adapter_model.safetensors")
    weight = next(held[key] for key in held if key.endswith("classifier.weight"))
    assert any(p.shape == weight.shape and p.equal(weight) for p in model.parameters())


def test_what_the_adapter_lacks_is_said(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, file = saved(base, "lora"), base / "model.safetensors"
    held = {key: value for key, value in load_file(file).items() if "pooler" not in key}
    save_file(held, file, metadata={"format": "pt"})
    caplog.clear()
    AUTO[0].from_pretrained(folder)
    assert "newly initialised: bert.pooler.dense.weight, bert.pooler.dense.bias. T" in caplog.text
    caplog.clear()
    AUTO[0].from_pretrained(base)
    assert "classifier.weight" in caplog.text


def test_loading_info_of_an_adapter(base: Path) -> None:
    with pytest.raises(InputError, match="lora is an adapter, which has no loading info"):
        AUTO[0].from_pretrained(saved(base, "lora"), output_loading_info=True)
