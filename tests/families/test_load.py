"""Loading is complete or raises by name: absent, surplus and misshapen tensors, new heads, ties."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import enfold
from enfold.errors import CheckpointError
from tests.families.pairs import (
    ARCHITECTURES,
    LANGUAGE,
    checkpoint,
    ids,
    our_class,
    pair,
    same_outputs,
)
from tests.families.tiny import TINY

FROM_BASE = [case for case in ARCHITECTURES if case[1] not in ("Model", "EncoderModel")]


class Broken:
    """A copy of a checkpoint whose tensors a test changes."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self.tensors = load_file(source / "model.safetensors")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text((source / "config.json").read_text())

    def with_(self, tensors: dict[str, Tensor]) -> Path:
        """The folder, holding these tensors."""
        save_file(tensors, self.folder / "model.safetensors", {"format": "pt"})
        return self.folder

    def config(self, without: str = "", **edits: Any) -> None:
        """Change config.json."""
        path = self.folder / "config.json"
        values = json.loads(path.read_text()) | edits
        values.pop(without, None)
        path.write_text(json.dumps(values))


@pytest.mark.parametrize("case", [case for case in LANGUAGE if case[2] == "base"]
                         + [("bert", "ForPreTraining", "base")], ids=ids)
def test_each_tensor_is_needed(case: tuple[str, str, str], tmp_path: Path) -> None:
    """Every single tensor removed, renamed or reshaped raises, and says which it was."""
    layers = [name for name in TINY[case[0]].base if name.endswith("layers")]
    source = checkpoint(*case, **dict.fromkeys(layers, 1))
    broken, load = Broken(tmp_path, source), our_class(*case[:2]).from_pretrained
    for name, tensor in broken.tensors.items():
        rest = {other: value for other, value in broken.tensors.items() if other != name}
        with pytest.raises(CheckpointError, match=f"no tensor '{name}'"):
            load(broken.with_(rest))
        with pytest.raises(CheckpointError, match=f"'{name}_renamed'|no tensor '{name}'"):
            load(broken.with_({**rest, f"{name}_renamed": tensor}))
        with pytest.raises(CheckpointError, match=f"'{name}' has shape"):
            load(broken.with_({**rest, name: torch.cat((tensor, tensor))}))


def test_surplus_tensors_are_named_with_the_nearest(tmp_path: Path) -> None:
    broken = Broken(tmp_path, checkpoint("llama", "ForCausalLM"))
    extra = {"model.layers.2.mlp.up_proj.weight": torch.zeros(2),
             "moddel.norm.weight": torch.ones(2)}
    with pytest.raises(CheckpointError) as caught:
        enfold.AutoModelForCausalLM.from_pretrained(broken.with_(broken.tensors | extra))
    assert str(caught.value) == (
        "LlamaForCausalLM: the checkpoint holds tensors that the model has no place for: "
        "'moddel.norm.weight', 'model.layers.2.mlp.up_proj.weight' (nearest: 'model.norm'). "
        "Do: check that config.json belongs to these weights (layers, architecture)")


@pytest.mark.parametrize("case", FROM_BASE, ids=ids)
def test_a_head_on_a_base_checkpoint(case: tuple[str, str],
                                     caplog: pytest.LogCaptureFixture) -> None:
    kind = case[0]
    base = checkpoint(kind, "Model")
    with caplog.at_level(logging.WARNING, "enfold"):
        model, info = our_class(*case).from_pretrained(base, output_loading_info=True)
    new = info["missing_keys"]
    theirs = pair(kind, "Model").ours.state_dict()
    for name, tensor in model.base_model.state_dict().items():
        if name not in (*new, "lm_head.weight"):
            assert torch.equal(tensor, theirs[name.removeprefix("model.")]), name
    said = [record.getMessage() for record in caplog.records]
    if new:
        assert len(said) == 1
        assert all(name in said[0] for name in new)
        assert not set(new) & set(theirs)
    else:
        assert not said
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    model(**pair(*case).inputs())


@pytest.mark.parametrize("case", FROM_BASE, ids=ids)
def test_the_body_of_a_headed_checkpoint(case: tuple[str, str],
                                         caplog: pytest.LogCaptureFixture) -> None:
    both = pair(*case)
    if both.ours.base_model is both.ours:
        pytest.skip("an encoder or decoder alone has no class without a head")
    with caplog.at_level(logging.WARNING, "enfold"):
        model = type(both.ours.base_model).from_pretrained(both.folder)
    body = both.ours.base_model.state_dict()
    for name, tensor in model.state_dict().items():
        assert name not in body or torch.equal(tensor, body[name]), name
    expected = {name for name in model.state_dict() if name not in body}
    assert expected <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert [record.getMessage() for record in caplog.records if not expected] == []


def test_classifiers_with_other_labels(tmp_path: Path) -> None:
    base, headed = checkpoint("bert", "Model"), checkpoint("bert", "ForSequenceClassification")
    load = enfold.AutoModelForSequenceClassification.from_pretrained
    model = load(base, num_labels=5)
    assert model.classifier.weight.shape == (5, 32)
    assert model.config.id2label == {index: f"LABEL_{index}" for index in range(5)}
    named = load(base, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    assert (named.config.num_labels, named.classifier.out_features) == (2, 2)
    with pytest.raises(CheckpointError, match=r"'classifier.weight' has shape \(3, 32\), expected "
                                              r"\(7, 32\) .*ignore_mismatched_sizes=True"):
        load(headed, num_labels=7)
    other, info = load(headed, num_labels=7, ignore_mismatched_sizes=True,
                       output_loading_info=True)
    assert other.classifier.weight.shape == (7, 32)
    assert info["mismatched_keys"] == {("classifier.weight", (3, 32), (7, 32)),
                                       ("classifier.bias", (3,), (7,))}
    assert info["error_msgs"] == []


def test_a_body_without_its_pooler() -> None:
    folder = checkpoint("bert", "Model")
    model, info = our_class("bert", "Model").from_pretrained(folder, add_pooling_layer=False,
                                                             output_loading_info=True)
    assert info["unexpected_keys"] == {"pooler.dense.weight", "pooler.dense.bias"}
    output = model(**pair("bert", "Model").inputs())
    assert output.pooler_output is None and "pooler.dense.weight" not in model.state_dict()


@pytest.mark.parametrize(("kind", "first", "second"), [
    ("gpt2", "transformer.wte.weight", "lm_head.weight"),
    ("bert", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ("t5", "shared.weight", "lm_head.weight"), ("bart", "model.shared.weight", "lm_head.weight")])
def test_ties(kind: str, first: str, second: str, tmp_path: Path) -> None:
    suffix = TINY[kind].lm
    both, broken = pair(kind, suffix), Broken(tmp_path, checkpoint(kind, suffix))
    load, given = our_class(kind, suffix).from_pretrained, both.inputs()
    same = broken.tensors | {second: broken.tensors[first].clone()}
    with torch.no_grad():
        same_outputs(load(broken.with_(same))(**given), both.ours(**given), 0)
        other = broken.tensors | {second: broken.tensors[first] + 1}
        with pytest.raises(CheckpointError, match=f"'{first}' and '{second}'.*different values"):
            load(broken.with_(other))
        tied = load(broken.folder, tie_word_embeddings=True)
        same_outputs(tied(**given), both.ours(**given), 0)
        apart = load(broken.folder, tie_word_embeddings=False)
        state = apart.state_dict()
        assert torch.equal(state[second], other[second]) and torch.equal(state[first], other[first])
        broken.config(tie_word_embeddings=False)
        assert torch.equal(load(broken.folder).state_dict()[second], other[second])


def test_untied_config_without_an_output_projection_raises(tmp_path: Path) -> None:
    broken = Broken(tmp_path, checkpoint("llama", "ForCausalLM"))
    del broken.tensors["lm_head.weight"]
    folder = broken.with_(broken.tensors)
    with pytest.raises(CheckpointError, match="'lm_head.weight'.*tie_word_embeddings=True"):
        enfold.AutoModelForCausalLM.from_pretrained(folder)
    model = enfold.AutoModelForCausalLM.from_pretrained(folder, tie_word_embeddings=True)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_untied_t5_of_transformers_4_and_5(tmp_path: Path) -> None:
    broken = Broken(tmp_path, checkpoint("t5", "ForConditionalGeneration", "unscaled"))
    broken.config(tie_word_embeddings=False)
    broken.config(without="scale_decoder_outputs")
    folder = broken.with_(broken.tensors | {
        "lm_head.weight": torch.randn(broken.tensors["shared.weight"].shape)})
    both = pair("t5", "ForConditionalGeneration")
    model, theirs = (kind.from_pretrained(folder) for kind in (type(both.ours), type(both.theirs)))
    assert model.lm_head.weight is not model.shared.weight
    with torch.no_grad():
        wanted = theirs.eval()(**both.inputs())
        same_outputs(model(**both.inputs()), wanted)
        theirs.save_pretrained(tmp_path / "by 5")  # which calls it tied in config.json
        again = type(both.ours).from_pretrained(tmp_path / "by 5")
        same_outputs(again(**both.inputs()), wanted)
        again.save_pretrained(tmp_path / "by us")
        last = type(both.theirs).from_pretrained(tmp_path / "by us").eval()
        same_outputs(last(**both.inputs()), wanted)


def test_seq2seq_checkpoints_open_as_their_halves() -> None:
    tokens = pair("t5", "ForConditionalGeneration").inputs()["input_ids"]
    encoder = our_class("t5", "EncoderModel").from_pretrained(
        checkpoint("t5", "ForConditionalGeneration"))
    with torch.no_grad():
        wanted = pair("t5", "ForConditionalGeneration").theirs.encoder(tokens).last_hidden_state
        same_outputs(encoder(tokens), {"last_hidden_state": wanted})


@pytest.mark.parametrize("kind", TINY)
def test_auto_classes_choose_the_class(kind: str) -> None:
    both = pair(kind, TINY[kind].lm)
    names = [name for name in enfold.__all__ if name.startswith("AutoModel")]
    chosen = {}
    for name in names:
        auto = getattr(enfold, name)
        if kind in auto.families():
            chosen[name] = auto.class_for(both.ours.config).__name__
    assert chosen["AutoModel"] == f"{type(both.ours).__name__.removesuffix(TINY[kind].lm)}Model"
    assert type(both.ours).__name__ in chosen.values()


def test_peak_memory_of_loading_is_the_file(tmp_path: Path, python: Any) -> None:
    config = enfold.AutoConfig.for_model("llama", vocab_size=8000, hidden_size=512,
                                         intermediate_size=2048, num_hidden_layers=10,
                                         num_attention_heads=8)
    model = enfold.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert size > 180e6
    del model
    code = """
import resource, sys, torch
import enfold.model.loading, enfold.model.classes, enfold.auto
from enfold import AutoModelForCausalLM
def peak(): return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
def anonymous(): return int(open("/proc/self/status").read().split("RssAnon:")[1].split()[0]) * 1024
AutoModelForCausalLM.class_for(enfold.AutoConfig.from_pretrained(sys.argv[1]))
before, own = peak(), anonymous()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
total = sum(float(p.sum()) for p in model.parameters())
print(peak() - before, anonymous() - own)
"""
    done = python("-c", code, tmp_path)
    assert done.returncode == 0, done.stderr
    grown, copied = map(int, done.stdout.split())
    assert grown < 1.1 * size + 20e6
    assert copied < 0.1 * size + 20e6  # the weights are the file's own pages
