"""Each method beside peft: files both ways, the same outputs, the same gradients, merging."""

from __future__ import annotations

import copy

import peft
import pytest
import torch
from safetensors.torch import load_file

from enfold import adapt
from tests.adapt.methods.table import ALL, CASES, MERGING, inputs_of, pair
from tests.families.pairs import close, same_outputs

FILE = "adapter_model.safetensors"


def run(model, inputs):
    with torch.no_grad():
        return model(**inputs)


def trained(model):
    """Name -> parameter of what is trained, as peft names it."""
    return {key.replace("base_model.model.classifier", "base_model.classifier"): parameter
            for key, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(("name", "model"), ALL)
def test_files_and_outputs(name, model, tmp_path):
    made = CASES[name].build(model, tmp_path / "theirs")
    inputs = inputs_of(made)
    inputs.pop("labels")
    same_outputs(run(made.ours, inputs), run(made.theirs, inputs))
    made.ours.save_pretrained(tmp_path / "ours")
    before, after = (load_file(tmp_path / side / FILE) for side in ("theirs", "ours"))
    assert set(before) == set(after)
    assert all(torch.equal(before[key], after[key]) for key in after)
    again = peft.PeftModel.from_pretrained(pair(model).theirs, tmp_path / "ours")
    same_outputs(run(made.ours, inputs), run(again.eval(), inputs))


@pytest.mark.parametrize(("name", "model"), ALL)
def test_gradients(name, model, tmp_path):
    """The same parameters are trained, and their gradients are the same."""
    case = CASES[name]
    made = case.build(model, tmp_path)
    ours = adapt.get_peft_model(pair(model).ours, case.config(model, adapt)).eval()
    found, wanted = trained(ours), trained(made.theirs)
    assert {key: p.shape for key, p in found.items()} == {key: p.shape for key, p in wanted.items()}
    with torch.no_grad():
        for key, parameter in found.items():
            parameter.copy_(wanted[key])
    inputs = inputs_of(made)
    made.theirs(**copy.copy(inputs)).loss.backward()
    ours(**inputs).loss.backward()
    scale = max(float(p.grad.abs().max()) for p in wanted.values() if p.grad is not None)
    for key, parameter in wanted.items():
        if parameter.grad is not None or found[key].grad is not None:
            assert float((found[key].grad - parameter.grad).abs().max()) <= 1e-5 * scale, key


@pytest.mark.parametrize(("name", "model"), MERGING)
def test_merged_equals_unmerged(name, model, tmp_path):
    made = CASES[name].build(model, tmp_path)
    ours, inputs = made.ours, inputs_of(made)
    with ours.disable_adapter():
        plain = run(ours, inputs).logits
    before = run(ours, inputs).logits
    assert (before - plain).abs().max() > 1e-3
    ours.base_model.merge_adapter()
    close(run(ours, inputs).logits, before)
    ours.base_model.unmerge_adapter()
    close(run(ours, inputs).logits, before)
    merged = ours.merge_and_unload(safe_merge=True)
    assert merged is made.pair.ours
    close(run(merged, inputs).logits, before)


@pytest.mark.parametrize(("name", "model"), [c for c in ALL if c not in MERGING])
def test_not_merged(name, model):
    ours = adapt.get_peft_model(pair(model).ours, CASES[name].config(model, adapt))
    with pytest.raises(NotImplementedError, match=r"can't be merged.*Do: keep the adapter"):
        ours.merge_and_unload()
