"""The public face of names is theirs: parameters, states, paths, freezing, replacing, hooks."""

from __future__ import annotations

import copy
import pickle
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from enfold.errors import CheckpointError
from tests.families.pairs import (
    ARCHITECTURES,
    CASES,
    Pair,
    close,
    fresh,
    ids,
    pair,
    same_outputs,
)
from tests.families.tiny import TINY

DEAD = ("cls.predictions.bias", "lm_head.bias")  # untied, the reference keeps and never uses these


def reference_state(both: Pair) -> dict[str, Tensor]:
    """Their state, without what no forward pass reads."""
    state = both.theirs.state_dict()
    untied = not both.theirs.config.tie_word_embeddings and both.kind in ("bert", "roberta")
    return {name: tensor for name, tensor in state.items() if not (untied and name in DEAD)}


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_names_are_theirs(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    state, reference = both.ours.state_dict(), reference_state(both)
    assert set(state) == set(reference)
    for name, tensor in reference.items():
        assert torch.equal(state[name], tensor), name
    assert list(state) == list(reference)
    theirs = [name for name, _ in both.theirs.named_parameters() if name in reference]
    assert [name for name, _ in both.ours.named_parameters()] == theirs
    assert len(list(both.ours.parameters())) == len(theirs)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_names_are_a_bijection(case: tuple[str, str, str]) -> None:
    model = pair(*case).ours
    for part in ("body", "head"):
        for name, _ in model._modules[part].named_parameters(prefix=part):
            assert model.names.ours(model.names.theirs(name)) == name


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_attribute_paths(case: tuple[str, str, str]) -> None:
    both = pair(*case)
    for name, tensor in reference_state(both).items():
        assert torch.equal(attrgetter(name)(both.ours), tensor), name
        assert torch.equal(_walk(both.ours, name), tensor), name
        assert torch.equal(both.ours.get_parameter(name), tensor), name
        path, _, leaf = name.rpartition(".")
        assert torch.equal(getattr(both.ours.get_submodule(path), leaf), tensor), name


def _walk(model: Any, name: str) -> Any:
    """The path with indices as `layers[0]`."""
    for part in name.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


@pytest.mark.parametrize("case", [case for case in CASES if case[2] == "base"], ids=ids)
def test_module_names_of_linears_and_tables(case: tuple[str, str, str]) -> None:
    """What adapters and quantization look for: the leaves, by their names."""
    both = pair(*case)
    kinds = (nn.Linear, nn.Embedding)
    theirs = {name for name, module in both.theirs.named_modules()
              if isinstance(module, kinds) or type(module).__name__ == "Conv1D"}
    ours = {name for name, module in both.ours.named_modules() if isinstance(module, kinds)}
    one = {name for name in theirs if name.endswith("encoder.embed_tokens")}  # of us: `shared`
    assert ours == theirs - (one if any(name.endswith("shared") for name in theirs) else set())


@pytest.mark.parametrize("case", ARCHITECTURES, ids=ids)
def test_states_go_both_ways(case: tuple[str, str]) -> None:
    source = pair(*case)
    target = fresh(*case)
    for model in (target.ours, target.theirs):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
    target.ours.load_state_dict(source.theirs.state_dict())
    target.theirs.load_state_dict(source.ours.state_dict())
    given = source.inputs()
    with torch.no_grad():
        wanted = source.theirs(**given)
        same_outputs(target.ours(**given), wanted)
        same_outputs(target.theirs(**given), wanted)


def test_states_that_do_not_fit() -> None:
    model = fresh("bert", "ForSequenceClassification").ours
    state = dict(model.state_dict())
    weight = state.pop("classifier.weight")
    found = model.load_state_dict(state | {"more": weight}, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["classifier.weight"], ["more"])
    with pytest.raises(CheckpointError, match=r"missing: 'classifier.weight'; unexpected: 'more'"):
        model.load_state_dict(state | {"more": weight})
    with pytest.raises(CheckpointError, match=r"'classifier.weight' has shape \(2, 2\), expected"):
        model.load_state_dict(state | {"classifier.weight": torch.zeros(2, 2)})
    given = {name: tensor + 1 for name, tensor in state.items()} | {"classifier.weight": weight}
    model.load_state_dict(given, assign=True)
    assert model.classifier.weight.data_ptr() == weight.data_ptr()


def test_freezing_by_name() -> None:
    model = fresh("bert", "ForSequenceClassification").ours
    for name, parameter in model.named_parameters():
        if "encoder.layer.0" in name or name.startswith("bert.embeddings"):
            parameter.requires_grad = False
    trained = model.num_parameters(only_trainable=True)
    assert trained == sum(p.numel() for n, p in model.named_parameters()
                          if "layer.1" in n or "pooler" in n or "classifier" in n)
    model.bert.encoder.layer[1].requires_grad_(False)
    for parameter in model.bert.pooler.parameters():
        parameter.requires_grad = False
    assert model.num_parameters(only_trainable=True) == 3 * 32 + 3
    model.bert.requires_grad_(True)
    assert model.num_parameters(only_trainable=True) == model.num_parameters()


@pytest.mark.parametrize(("case", "name"), [
    (("bert", "ForSequenceClassification"), "classifier"), (("llama", "ForCausalLM"), "lm_head"),
    (("gpt2", "LMHeadModel"), "lm_head"), (("roberta", "ForTokenClassification"), "classifier"),
    (("t5", "ForConditionalGeneration"), "lm_head"), (("t5", "ForQuestionAnswering"), "qa_outputs"),
], ids=str)
def test_replacing_a_head(case: tuple[str, str], name: str) -> None:
    both = fresh(*case)
    new = nn.Linear(32, 7)
    setattr(both.ours, name, new)
    assert getattr(both.ours, name) is new
    assert f"{name}.weight" in dict(both.ours.named_parameters())
    if name != "qa_outputs":
        assert both.ours(**both.inputs()).logits.shape[-1] == 7


def test_replacing_an_inner_module() -> None:
    both = fresh("llama", "ForCausalLM")
    given, layer = both.inputs(), both.ours.model.layers[0]
    before = both.ours(**given).logits
    layer.self_attn.q_proj = nn.Linear(32, 32, bias=False)
    assert "model.layers.0.self_attn.q_proj.weight" in both.ours.state_dict()
    assert not torch.equal(both.ours(**given).logits, before)
    both.ours.get_submodule("model.layers.1.mlp").up_proj = nn.Linear(32, 40, bias=False)
    assert torch.equal(both.ours.model.layers[1].mlp.up_proj.weight,
                       dict(both.ours.named_parameters())["model.layers.1.mlp.up_proj.weight"])


def test_assigning_parameters() -> None:
    both = fresh("llama", "ForCausalLM")
    with torch.no_grad():
        both.ours.lm_head.weight.zero_()
        assert not both.ours(**both.inputs()).logits.any()
        both.ours.model.norm.weight = nn.Parameter(torch.zeros(32))
        assert not both.ours.model(**both.inputs()).last_hidden_state.any()


LAYERS = {"bert": "bert.encoder.layer", "roberta": "roberta.encoder.layer",
          "distilbert": "distilbert.transformer.layer", "gpt2": "transformer.h",
          "gpt_bigcode": "transformer.h", "llama": "model.layers", "mistral": "model.layers",
          "mixtral": "model.layers", "qwen2": "model.layers",
          "qwen2_moe": "model.layers", "qwen3_moe": "model.layers", "bart": "model.encoder.layers",
          "marian": "model.decoder.layers", "t5": "encoder.block"}


@pytest.mark.parametrize("kind", TINY)
def test_layers_are_modules_with_hooks(kind: str) -> None:
    both = fresh(kind, TINY[kind].lm)
    layers = attrgetter(LAYERS[kind])(both.ours)
    assert len(layers) == len(attrgetter(LAYERS[kind])(both.theirs))
    fired: list[str] = []
    for index, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, index=index: fired.append(f"layer {index}"))
    layers[-1].register_forward_pre_hook(lambda *_: fired.append("before the last"))
    both.ours(**both.inputs())
    assert fired == ["layer 0", "before the last", "layer 1"]


def test_hooks_on_leaves_and_on_the_model() -> None:
    both = fresh("llama", "ForCausalLM")
    seen: list[tuple[int, ...]] = []
    both.ours.model.layers[0].self_attn.q_proj.register_forward_hook(
        lambda module, args, output: seen.append(tuple(output.shape)))
    both.ours.register_forward_hook(lambda module, args, output: seen.append(
        tuple(output.logits.shape)))
    both.ours(**both.inputs())
    assert seen == [(2, 9, 32), (2, 9, 48)]


@pytest.mark.parametrize("case", [case for case in ARCHITECTURES if case[1] not in
                                  ("Model", "EncoderModel")], ids=ids)
def test_the_base_model_is_callable(case: tuple[str, str]) -> None:
    both = pair(*case)
    prefix = both.theirs.base_model_prefix
    if not hasattr(both.theirs, prefix) or both.choices:
        pytest.skip(f"the reference's {type(both.theirs).__name__} has no .{prefix} of text alone")
    given = both.inputs()
    if both.encdec:
        given.setdefault("decoder_input_ids", given["input_ids"])
    if case == ("bart", "ForCausalLM") or case == ("marian", "ForCausalLM"):
        pytest.skip("the reference wraps the decoder once more")
    with torch.no_grad():
        ours = getattr(both.ours, prefix)(**given)
        same_outputs(ours, getattr(both.theirs, prefix)(**given))
        same_outputs(both.ours.base_model(**given), ours)


def test_halves_are_callable() -> None:
    both = pair("bart", "ForConditionalGeneration")
    tokens = both.inputs()["input_ids"]
    with torch.no_grad():
        model = both.ours
        for ours in (model.model.encoder, model.get_encoder(), model.model.get_encoder()):
            close(ours(tokens).last_hidden_state,
                  both.theirs.model.encoder(tokens).last_hidden_state)
        memory = torch.randn(2, 4, 32)
        close(both.ours.model.decoder(tokens, encoder_hidden_states=memory)[0],
              both.theirs.model.decoder(tokens, encoder_hidden_states=memory)[0])
        close(pair("t5", "ForConditionalGeneration").ours.encoder(tokens)[0],
              pair("t5", "ForConditionalGeneration").theirs.encoder(tokens)[0])


@pytest.mark.parametrize("kind", TINY)
def test_copies(kind: str) -> None:
    both = pair(kind, TINY[kind].lm)
    given = both.inputs()
    with torch.no_grad():
        wanted = both.ours(**given).logits
        for twin in (copy.deepcopy(both.ours), pickle.loads(pickle.dumps(both.ours))):
            assert torch.equal(twin(**given).logits, wanted)
            assert len(list(twin.parameters())) == len(list(both.ours.parameters()))
            next(twin.parameters()).add_(1.0)
            twin.config.architectures = ["changed"]
        assert torch.equal(both.ours(**given).logits, wanted)
        assert both.ours.config.architectures != ["changed"]


def test_unknown_paths_name_the_nearest() -> None:
    model = pair("bert", "ForSequenceClassification").ours
    with pytest.raises(AttributeError, match=r"attribute 'clasifier' \(nearest: 'classifier'\)"):
        model.clasifier  # noqa: B018
    with pytest.raises(AttributeError, match=r"'encoder.layers' \(nearest: 'encoder.layer'\)"):
        model.bert.encoder.layers  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'poolr' \(nearest: 'pooler'\)"):
        model.bert.poolr = nn.Linear(2, 2)
    with pytest.raises(IndexError, match=r"encoder.layer has 2 entries, got index 2"):
        model.bert.encoder.layer[2]
    with pytest.raises(TypeError, match=r"layer.0.intermediate is no module that can be called"):
        model.bert.encoder.layer[0].intermediate(torch.zeros(1))


@pytest.mark.parametrize(("kind", "head"), [
    ("llama", "ForCausalLM"), ("bert", "ForTokenClassification"), ("gpt2", "LMHeadModel"),
    ("t5", "ForConditionalGeneration")])
def test_functions_of_torch_walk_the_paths(kind: str, head: str) -> None:
    """`functional_call` puts other weights in by their names; so does `export` without strict."""
    model = pair(kind, head).ours
    given: dict[str, Any] = {"input_ids": torch.tensor([[1, 5, 3, 9]]), "return_dict": False}
    if kind == "t5":
        given["decoder_input_ids"] = given["input_ids"]
    if kind != "bert":
        given["use_cache"] = False
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
        before, expected = model(**given)[0], other(**given)[0]
        weights = dict(other.named_parameters())
        close(torch.func.functional_call(model, weights, (), given)[0], expected)
        assert torch.equal(model(**given)[0], before) and not torch.equal(expected, before)
        program = torch.export.export(model, (), given, strict=False)
        close(program.module()(**given)[0], before)


def test_an_inner_path_is_a_module_to_torch() -> None:
    model = fresh("llama", "ForCausalLM").ours
    for view in (model.model, model.model.layers, model.model.layers[0]):
        assert isinstance(view, nn.Module)
        assert view.train().training and not view.eval().training
        assert list(view.modules())
        assert list(copy.deepcopy(view).state_dict()) == list(view.state_dict())
