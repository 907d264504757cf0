"""LoRA on parameters: stacked experts and routers, narrowed, together, of older files, messages."""

from __future__ import annotations

import json
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from enfold import adapt
from tests.adapt.tuned import shake, tuned
from tests.families.pairs import close, fresh, same_outputs

EXPERTS = ["gate_up_proj", "down_proj"]
START = "base_model.model.model.layers"


def mixtral() -> Any:
    return fresh("mixtral", "ForCausalLM")


def adapted(**options: Any) -> Any:
    """A model of ours with noise on its adapter."""
    torch.manual_seed(0)
    model = adapt.get_peft_model(mixtral().ours, adapt.LoraConfig(**options)).eval()
    shake(model)
    return model


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**mixtral().inputs()).logits


@pytest.mark.parametrize(("options", "layers"), [
    ({"layers_to_transform": [1]}, {1}), ({"exclude_modules": r".*layers\.1\..*"}, {0}),
    ({"target_modules": r".*layers\.0\..*(w2|q_proj)"}, {0})])
def test_narrowed(options: dict[str, Any], layers: set[int], tmp_path: Any) -> None:
    """Unlike in peft, which would adapt the experts of all layers; the file names those it has."""
    model = adapted(**{"target_modules": ["w2", "q_proj"], "r": 2} | options)
    assert {int(path.split(".")[2]) for path in model.adapters.layers} == layers
    assert len(model.adapters.layers) == 2 * len(layers)
    model.save_pretrained(tmp_path)
    theirs = peft.PeftModel.from_pretrained(mixtral().theirs, tmp_path)
    close(logits(model), logits(theirs))
    close(logits(adapt.PeftModel.from_pretrained(mixtral().ours, tmp_path)), logits(model), 0)


def test_two_adapters_and_none(tmp_path: Any) -> None:
    base, model = logits(mixtral().ours), adapted(target_parameters=EXPERTS, r=2)
    one = logits(model)
    model.add_adapter("b", adapt.LoraConfig(target_parameters=EXPERTS, r=3))
    model.set_adapter("b")
    shake(model)
    other = logits(model)
    model.base_model.set_adapter(["default", "b"])
    both = logits(model)
    assert len({float(x.sum()) for x in (base, one, other, both)}) == 4
    model.base_model.merge_adapter()
    close(logits(model), both)
    model.base_model.unmerge_adapter()
    with model.disable_adapter():
        close(logits(model), base)
    model.delete_adapter("default")
    close(logits(model), other)
    model.delete_adapter("b")
    assert type(model.base_model.model.model.layers[0].mlp.experts).__name__ == "Experts"
    close(logits(model), base)


def test_unloading() -> None:
    model = adapted(target_modules="all-linear")
    before, paths = logits(model), set(model.adapters.layers)
    assert {path.rpartition("layers.0.")[2] for path in paths if "layers.0" in path} == {
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate",
        "mlp.experts", "mlp.experts.base_layer"}
    merged = model.merge_and_unload(safe_merge=True)
    close(logits(merged), before)
    assert list(merged.state_dict()) == list(mixtral().ours.state_dict())


def test_training_moves_the_experts_adapters() -> None:
    model = adapted(target_parameters=EXPERTS, r=2).train()
    given = mixtral().inputs()
    model(**given, labels=given["input_ids"], output_router_logits=True).loss.backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 8 and all(p.grad.abs().sum() > 0 for p in trained.values())
    assert f"{START}.0.mlp.experts.base_layer.lora_A.default.weight" in trained
    assert f"{START}.0.mlp.experts.base_layer.base_layer.gate_up_proj" in dict(
        model.named_parameters())


def test_files_of_single_experts(tmp_path: Any) -> None:
    """As written with transformers 4, where each expert had linear layers."""
    made = tuned("mixtral", tmp_path, r=2)
    sizes = {"w1": (40, 32), "w2": (32, 40), "w3": (40, 32)}
    tensors = {key: tensor for key, tensor in load_file(
        tmp_path / "adapter_model.safetensors").items() if "q_proj" in key}
    layers = {f"{number}.block_sparse_moe.gate": (4, 32) for number in range(2)} | {
        f"{number}.block_sparse_moe.experts.{expert}.{leaf}": size for number in range(2)
        for expert in range(4) for leaf, size in sizes.items()}
    for layer, (outputs, inputs) in layers.items():
        tensors[f"{START}.{layer}.lora_A.weight"] = torch.randn(2, inputs) * 0.3
        tensors[f"{START}.{layer}.lora_B.weight"] = torch.randn(outputs, 2) * 0.3
    save_file(tensors, tmp_path / "adapter_model.safetensors", {"format": "pt"})
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text()) | {
        "target_modules": ["q_proj", "gate", *sizes], "target_parameters": None,
        "rank_pattern": {}, "alpha_pattern": {}}
    path.write_text(json.dumps(config))
    theirs = peft.PeftModel.from_pretrained(mixtral().theirs, tmp_path)
    ours = adapt.PeftModel.from_pretrained(mixtral().ours, tmp_path)
    with torch.no_grad():
        same_outputs(ours(**made.inputs()), theirs(**made.inputs()))
    del tensors[f"{START}.0.block_sparse_moe.experts.3.w1.lora_A.weight"]
    save_file(tensors, tmp_path / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="the adapter does not fit"):
        adapt.PeftModel.from_pretrained(mixtral().ours, tmp_path)


@pytest.mark.parametrize(("options", "message"), [
    ({"target_modules": ["w1", "q_proj"]}, "has w1 without w3, which are one parameter, 'gate_up_"),
    ({"target_modules": ["experts.0.w2"]}, r"names one expert, 'experts.0.w2'.*Do: name 'w2'"),
    ({"target_parameters": ["gate_up"]}, r"no parameter fits 'gate_up' \(nearest: 'gate_up_proj'"),
    ({"target_parameters": ["q_proj.weight"]}, "linear layers are named in target_modules"),
    ({"target_modules": ["w2"], "layers_to_transform": [7]}, r"names \[7\]"),
    ({"target_modules": "all-linear", "lora_dropout": 0.1},
     r"lora_dropout=0.1 does not go with target_parameters.*Do: lora_dropout=0.0"),
    ({"target_modules": ["w2"], "use_dora": True}, "use_dora=True does not go"),
    ({"target_modules": ["w2"], "init_lora_weights": "pissa"}, "Do: use True or 'gaussian'"),
])
def test_messages(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        adapt.get_peft_model(mixtral().ours, adapt.LoraConfig(**options))


def test_what_is_not_built() -> None:
    model = adapted(target_parameters=EXPERTS, r=2)
    with pytest.raises(NotImplementedError, match=r"can't differ by row.*Do: run the rows of each"):
        model(**mixtral().inputs(), adapter_names=["default", "__base__"])
    with pytest.raises(ValueError, match="Do: give all adapters the same target_parameters"):
        model.add_adapter("b", adapt.LoraConfig(target_parameters=EXPERTS[:1]))
    with pytest.raises(NotImplementedError, match="'default' is not a plain LoRA adapter"):
        model.add_weighted_adapter(["default"], [1.0], "c")
    with pytest.raises(ValueError, match="no parameter fits 'gate_up_proj'.*names of none"):
        adapt.get_peft_model(fresh("llama", "ForCausalLM").ours,
                             adapt.LoraConfig(target_parameters=["gate_up_proj"]))
