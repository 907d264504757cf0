"""Each method beside peft: files both ways, the same outputs, the same gradients, merging."""

from __future__ import annotations

import peft
import pytest
import torch
from safetensors.torch import load_file

from enfold import adapt
from tests.adapt.methods.table import ALL, CASES, MERGING
from tests.adapt.tuned import MODELS
from tests.families.pairs import close, fresh, same_outputs

FILE = "adapter_model.safetensors"


def run(model, inputs):
    with torch.no_grad():
        return model(**inputs)


@pytest.mark.parametrize(("name", "model"), ALL)
def test_files_and_outputs(name, model, tmp_path):
    made = CASES[name].build(model, tmp_path / "theirs")
    inputs = made.inputs()
    same_outputs(run(made.ours, inputs), run(made.theirs, inputs))
    made.ours.save_pretrained(tmp_path / "ours")
    before, after = (load_file(tmp_path / side / FILE) for side in ("theirs", "ours"))
    assert set(before) == set(after)
    assert all(torch.equal(before[key], after[key]) for key in after)
    again = peft.PeftModel.from_pretrained(fresh(*MODELS[model][:2]).theirs, tmp_path / "ours")
    same_outputs(run(made.ours, inputs), run(again.eval(), inputs))


@pytest.mark.parametrize(("name", "model"), ALL)
def test_gradients(name, model, tmp_path):
    made = CASES[name].build(model, tmp_path)
    ours = adapt.PeftModel.from_pretrained(fresh(*MODELS[model][:2]).ours, tmp_path,
                                           is_trainable=True).eval()
    inputs = made.inputs()
    made.theirs(**inputs).loss.backward()
    ours(**inputs).loss.backward()
    found, wanted = ({key: p.grad for key, p in side.named_parameters() if p.requires_grad}
                     for side in (ours, made.theirs))
    assert set(found) == set(wanted)
    scale = max(float(grad.abs().max()) for grad in wanted.values())
    for key, grad in wanted.items():
        assert float((found[key] - grad).abs().max()) <= 1e-5 * max(scale, 1e-3), key


@pytest.mark.parametrize(("name", "model"), MERGING)
def test_merged_equals_unmerged(name, model, tmp_path):
    made = CASES[name].build(model, tmp_path)
    ours, inputs = made.ours, made.inputs()
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


@pytest.mark.parametrize(("name", "model"), ALL)
def test_fresh(name, model):
    """A new adapter trains what peft trains."""
    case, kind = CASES[name], MODELS[model][:2]
    ours = adapt.get_peft_model(fresh(*kind).ours,
                                adapt.PeftConfig.from_values({**config(case, model)}, "here"))
    theirs = peft.get_peft_model(fresh(*kind).theirs, getattr(peft, case.method)(
        **case.settings(model)))
    shapes = [{key: p.shape for key, p in side.named_parameters() if p.requires_grad}
              for side in (ours, theirs)]
    assert shapes[0] == shapes[1]


def config(case, model):
    kind = getattr(peft, case.method)(**case.settings(model)).peft_type
    return {"peft_type": kind.value, **case.settings(model)}
