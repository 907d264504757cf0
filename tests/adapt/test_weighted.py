"""Adapters out of adapters, as peft makes them."""

from __future__ import annotations

import peft
import pytest
import torch

from enfold import adapt
from tests.adapt.tuned import shake
from tests.families.pairs import fresh, same_outputs

CASES = [
    ("linear", {}), ("linear", {"weights": [-0.5, 1.5]}), ("cat", {}), ("svd", {}),
    ("svd", {"svd_rank": 3}), ("svd", {"svd_clamp": 0.9}), ("ties", {"density": 0.5}),
    ("ties", {"density": 0.4, "majority_sign_method": "frequency"}),
    ("magnitude_prune", {"density": 0.3}), ("dare_linear", {"density": 0.7}),
    ("dare_ties", {"density": 0.7}), ("ties_svd", {"density": 0.5}),
    ("magnitude_prune_svd", {"density": 0.5}), ("dare_linear_svd", {"density": 0.7}),
    ("dare_ties_svd", {"density": 0.7}),
]
TARGETS = {"a": ["q_proj", "v_proj", "embed_tokens"], "b": ["q_proj", "down_proj"]}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """peft's and our model with adapters a and b."""
    folder, pair = tmp_path_factory.mktemp("both"), fresh("llama", "ForCausalLM")
    configs = {name: peft.LoraConfig(r=4, lora_alpha=alpha, target_modules=TARGETS[name])
               for name, alpha in (("a", 8), ("b", 12))}
    theirs = peft.get_peft_model(pair.theirs, configs["a"], "a")
    theirs.add_adapter("b", configs["b"])
    for name in "ab":
        theirs.set_adapter(name)
        shake(theirs)
    theirs.eval().save_pretrained(folder)
    ours = adapt.PeftModel.from_pretrained(pair.ours, folder / "a", "a")
    ours.load_adapter(folder / "b", "b")
    return pair, theirs, ours


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_same_as_peft(both, kind, options):
    pair, theirs, ours = both
    weights = options.pop("weights", [0.7, 0.4])
    for model in (theirs, ours):
        torch.manual_seed(0)
        model.add_weighted_adapter(["a", "b"], weights, "new", combination_type=kind, **options)
        model.set_adapter("new")
    inputs = pair.inputs()
    try:
        if not kind.startswith("dare"):  # which draws random numbers in the order of the layers
            with torch.no_grad():
                same_outputs(ours(**inputs), theirs(**inputs), 2e-5)
        assert ours.peft_config["new"].r == theirs.peft_config["new"].r
    finally:
        theirs.delete_adapter("new")
        ours.delete_adapter("new")


def test_cat_is_the_sum(both):
    pair, _, ours = both
    ours.add_weighted_adapter(["a", "b"], [1.0, 1.0], "sum", combination_type="cat")
    inputs = pair.inputs()
    with torch.no_grad():
        ours.set_adapter(["a", "b"])
        wanted = ours(**inputs)
        ours.set_adapter("sum")
        same_outputs(ours(**inputs), wanted)
    ours.delete_adapter("sum")


@pytest.mark.parametrize(("weights", "options", "message"), [
    ([1.0], {}, "2 adapters and 1 weights"),
    ([1.0, 1.0], {"combination_type": "sum"}, "combination_type is 'sum'"),
    ([1.0, 1.0], {"combination_type": "ties"}, "density is None"),
    ([1.0, 1.0], {"combination_type": "ties", "density": 2.0}, "density is 2.0"),
    ([1.0, 1.0], {"combination_type": "ties", "density": 0.5, "majority_sign_method": "x"},
     "majority_sign_method is 'x'"),
])
def test_errors(both, weights, options, message):
    with pytest.raises(ValueError, match=message):
        both[2].add_weighted_adapter(["a", "b"], weights, "new", **options)


def test_ranks_and_kinds():
    model = adapt.get_peft_model(fresh("llama", "ForCausalLM").ours,
                                 adapt.LoraConfig(target_modules=["q_proj"]), "a")
    model.add_adapter("b", adapt.LoraConfig(target_modules=["q_proj"], r=2))
    model.add_adapter("c", adapt.LoraConfig(target_modules=["q_proj"], use_dora=True))
    with pytest.raises(ValueError, match=r"adapters of one rank, got \[8, 2\]"):
        model.add_weighted_adapter(["a", "b"], [1.0, 1.0], "new", combination_type="linear")
    with pytest.raises(NotImplementedError, match="'c' is not a plain LoRA adapter"):
        model.add_weighted_adapter(["a", "c"], [1.0, 1.0], "new")
