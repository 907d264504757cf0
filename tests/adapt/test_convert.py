"""PiSSA and OLoRA saved for the original base model."""

from __future__ import annotations

import peft
import pytest
import torch

from enfold import adapt
from tests.adapt.tuned import shake
from tests.families.pairs import close, fresh

OPTIONS = [{"init_lora_weights": "pissa"}, {"init_lora_weights": "olora", "use_rslora": True},
           {"init_lora_weights": "pissa", "rank_pattern": {"q_proj": 4}, "lora_alpha": 16}]


@pytest.mark.parametrize("options", OPTIONS)
def test_fits_the_original_base(options, tmp_path):
    pair = fresh("llama", "ForCausalLM")
    config = adapt.LoraConfig(target_modules=["q_proj", "v_proj"], **options)
    model = adapt.get_peft_model(pair.ours, config)
    model.save_pretrained(tmp_path / "start")
    shake(model.eval())
    model.save_pretrained(tmp_path / "end",
                          path_initial_model_for_weight_conversion=tmp_path / "start")
    inputs = pair.inputs()
    with torch.no_grad():
        wanted = model(**inputs).logits
        again = fresh("llama", "ForCausalLM")
        ours = adapt.PeftModel.from_pretrained(again.ours, tmp_path / "end")
        close(ours(**inputs).logits, wanted)
        theirs = peft.PeftModel.from_pretrained(again.theirs, tmp_path / "end")
        close(wanted, theirs(**inputs).logits)


def test_errors(tmp_path):
    model = adapt.get_peft_model(fresh("llama", "ForCausalLM").ours,
                                 adapt.LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "start")
    model.add_adapter("b", adapt.LoraConfig(target_modules=["v_proj"]))
    with pytest.raises(ValueError, match="is missing or of another shape"):
        model.save_pretrained(tmp_path / "end", selected_adapters=["b"],
                              path_initial_model_for_weight_conversion=tmp_path / "start")
    model.add_adapter("c", adapt.LoraConfig(target_modules=["v_proj"], use_dora=True))
    with pytest.raises(ValueError, match="is for LoRA that starts from the base weights"):
        model.save_pretrained(tmp_path / "end", selected_adapters=["c"],
                              path_initial_model_for_weight_conversion=tmp_path / "start")
