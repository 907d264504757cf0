"""Layers that are trained whole: heads by the task, modules_to_save, embeddings."""

from __future__ import annotations

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

import enfold
from enfold import adapt
from tests.adapt.tuned import shake
from tests.families.pairs import fresh, same_outputs

TASKS = [("bert", "ForSequenceClassification", "SEQ_CLS", ["query"]),
         ("roberta", "ForSequenceClassification", "SEQ_CLS", ["query"]),
         ("distilbert", "ForTokenClassification", "TOKEN_CLS", ["q_lin"]),
         ("llama", "ForSequenceClassification", "SEQ_CLS", ["q_proj"]),
         ("bert", "ForQuestionAnswering", "QUESTION_ANS", ["value"])]


def labelled(pair, suffix):
    if suffix == "ForQuestionAnswering":
        places = {"start_positions": torch.tensor([1, 2]), "end_positions": torch.tensor([3, 4])}
        return {**pair.inputs(), **places}
    inputs = pair.inputs()
    labels = inputs["input_ids"] % 3 if "Token" in suffix else torch.tensor([0, 2])
    return {**inputs, "labels": labels}


@pytest.mark.parametrize(("kind", "suffix", "task", "targets"), TASKS)
def test_tasks_both_ways(kind, suffix, task, targets, tmp_path):
    pair = fresh(kind, suffix)
    config = {"task_type": task, "target_modules": targets}
    theirs = peft.get_peft_model(pair.theirs, peft.LoraConfig(**config))
    shake(theirs)
    theirs.eval().save_pretrained(tmp_path / "theirs")
    ours = adapt.PeftModel.from_pretrained(pair.ours, tmp_path / "theirs", is_trainable=True)
    assert type(ours).__name__ == type(theirs).__name__
    inputs = labelled(pair, suffix)
    same_outputs(ours.eval()(**inputs), theirs(**inputs))
    ours(**inputs).loss.backward()
    theirs(**inputs).loss.backward()
    assert ours.get_nb_trainable_parameters() == theirs.get_nb_trainable_parameters()
    ours.save_pretrained(tmp_path / "ours")
    before, after = (load_file(tmp_path / side / "adapter_model.safetensors")
                     for side in ("theirs", "ours"))
    assert set(before) == set(after)
    again = peft.PeftModel.from_pretrained(fresh(kind, suffix).theirs, tmp_path / "ours").eval()
    same_outputs(again(**inputs), theirs(**inputs))


@pytest.mark.parametrize(("kind", "suffix", "task", "targets"), TASKS)
def test_all_biases_with_a_head_both_ways(kind, suffix, task, targets, tmp_path):
    """peft's file has the bias of the head twice, once as modules_to_save.bias."""
    pair = fresh(kind, suffix)
    theirs = peft.get_peft_model(pair.theirs, peft.LoraConfig(task_type=task, bias="all",
                                                              target_modules=targets))
    shake(theirs)
    theirs.eval().save_pretrained(tmp_path / "theirs")
    ours = adapt.PeftModel.from_pretrained(pair.ours, tmp_path / "theirs")
    inputs = pair.inputs()
    same_outputs(ours(**inputs), theirs(**inputs))
    ours.save_pretrained(tmp_path / "ours")
    again = peft.PeftModel.from_pretrained(fresh(kind, suffix).theirs, tmp_path / "ours").eval()
    same_outputs(again(**inputs), theirs(**inputs))


@pytest.mark.parametrize("writer", ["theirs", "ours"])
@pytest.mark.parametrize(("kind", "suffix", "task", "targets"), TASKS)
def test_auto_classes_of_an_adapters_folder(kind, suffix, task, targets, writer, tmp_path, caplog):
    """With the head, and without: then what it trained of the head is left out, and named."""
    pair = fresh(kind, suffix)
    pair.theirs.save_pretrained(tmp_path / "base")
    library, base = (peft, pair.theirs) if writer == "theirs" else (adapt, pair.ours)
    model = library.get_peft_model(base, library.LoraConfig(
        task_type=task, target_modules=targets if writer == "theirs" else "all-linear",
        base_model_name_or_path=str(tmp_path / "base")))
    shake(model)
    model.eval().save_pretrained(tmp_path / "adapter")
    folder, inputs = str(tmp_path / "adapter"), pair.inputs()
    name = f"AutoModel{suffix}"
    ours, theirs = (getattr(side, name).from_pretrained(folder) for side in (enfold, transformers))
    same_outputs(ours(**inputs), theirs(**inputs))
    assert "left out" not in caplog.text
    ours, theirs = (side.AutoModel.from_pretrained(folder) if writer == "theirs" or side is enfold
                    else theirs.base_model for side in (enfold, transformers))
    found, wanted = ours(**inputs).last_hidden_state, theirs(**inputs).last_hidden_state
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    head = next(p for p, _ in model.named_parameters() if "modules_to_save" in p).split(".")[2]
    assert f"{tmp_path / 'adapter'}: {head}." in caplog.text
    assert f"left out, of a head that a {type(ours).__name__} does not have" in caplog.text


def test_t5_head_is_trained():
    """peft knows the names of few heads and leaves this one frozen."""
    pair = fresh("t5", "ForSequenceClassification")
    model = adapt.get_peft_model(pair.ours, adapt.LoraConfig(task_type="SEQ_CLS"))
    trained = [path for path, p in model.named_parameters() if p.requires_grad]
    assert any("classification_head.out_proj" in path for path in trained)


@pytest.mark.parametrize("name", ["embed_tokens", "lm_head"])
def test_modules_to_save(name, tmp_path):
    pair = fresh("llama", "ForCausalLM")
    config = {"target_modules": ["q_proj"], "modules_to_save": [name]}
    theirs = peft.get_peft_model(pair.theirs, peft.LoraConfig(**config))
    shake(theirs)
    theirs.eval().save_pretrained(tmp_path)
    ours = adapt.PeftModel.from_pretrained(pair.ours, tmp_path)
    inputs = pair.inputs()
    with torch.no_grad():
        same_outputs(ours(**inputs), theirs(**inputs))
        merged = ours.merge_and_unload()
        same_outputs(merged(**inputs), theirs(**inputs))
    assert not any("modules_to_save" in path for path, _ in merged.named_parameters())


@pytest.mark.parametrize(("kind", "suffix", "targets"), [
    ("llama", "ForCausalLM", ["embed_tokens", "q_proj"]), ("gpt2", "LMHeadModel", ["wte"]),
    ("bert", "ForMaskedLM", ["word_embeddings", "position_embeddings"])])
@pytest.mark.parametrize("dora", [False, True])
def test_embeddings(kind, suffix, targets, dora, tmp_path):
    pair = fresh(kind, suffix)
    config = {"target_modules": targets, "use_dora": dora}
    theirs = peft.get_peft_model(pair.theirs, peft.LoraConfig(**config))
    shake(theirs)
    theirs.eval().save_pretrained(tmp_path / "theirs")
    ours = adapt.PeftModel.from_pretrained(pair.ours, tmp_path / "theirs")
    inputs = pair.inputs()
    with torch.no_grad():
        same_outputs(ours(**inputs), theirs(**inputs))
        ours.save_pretrained(tmp_path / "ours")
        again = peft.PeftModel.from_pretrained(fresh(kind, suffix).theirs, tmp_path / "ours")
        same_outputs(again.eval()(**inputs), theirs(**inputs))


def test_resized_embeddings_are_saved(tmp_path):
    pair = fresh("llama", "ForCausalLM")
    pair.ours.resize_token_embeddings(60)
    model = adapt.get_peft_model(pair.ours, adapt.LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(tmp_path)
    held = load_file(tmp_path / "adapter_model.safetensors")
    assert held["base_model.model.model.embed_tokens.weight"].shape[0] == 60
    again = fresh("llama", "ForCausalLM").ours
    with pytest.raises(ValueError, match=r"shape \(60, 32\), expected \(48, 32\).*resize_token"):
        adapt.PeftModel.from_pretrained(again, tmp_path)
    again = fresh("llama", "ForCausalLM").ours
    again.resize_token_embeddings(60)
    loaded = adapt.PeftModel.from_pretrained(again, tmp_path)
    inputs = pair.inputs()
    with torch.no_grad():
        same_outputs(loaded(**inputs), model.eval()(**inputs))
