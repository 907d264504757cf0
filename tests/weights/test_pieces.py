"""Experts one by one in files, stacked in the model: both forms, both ways, lean, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import enfold
from enfold.errors import CheckpointError
from tests.families.pairs import checkpoint, close, our_class, pair
from tests.families.tiny import TINY
from tests.weights.place_elsewhere import spread_map

SPARSE = [kind for kind in TINY if pair(kind, "Model").ours.pieces]
ORACLE = """
import json, sys, torch, transformers
made = {}
for line in sys.argv[1:]:
    folder, name = line.split("|")
    model = getattr(transformers, name).from_pretrained(folder)
    model.save_pretrained(folder + "/again")
    made[name] = sorted(model.state_dict())
print(json.dumps(made))
"""


def stacked(kind: str, folder: Path) -> Path:
    """The checkpoint as transformers 5 writes it on request: under the names of its memory."""
    pair(kind, "ForCausalLM").theirs.save_pretrained(folder, save_original_format=False)
    return folder


def load(kind: str, folder: Path, **options: Any) -> Any:
    return our_class(kind, "ForCausalLM").from_pretrained(folder, **options)


def rewritten(source: Path, folder: Path, tensors: dict[str, Tensor]) -> Path:
    (folder / "config.json").write_text((source / "config.json").read_text())
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def same(model: Any, wanted: Any) -> None:
    state = wanted.state_dict()
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", SPARSE)
def test_stacks_of_a_file_are_read_as_they_lie(kind: str, tmp_path: Path) -> None:
    both = pair(kind, "ForCausalLM")
    model = load(kind, stacked(kind, tmp_path / "stacked"))
    same(model, both.ours)
    model.save_pretrained(tmp_path / "pieces")
    first, second = (load_file(folder / "model.safetensors")
                     for folder in (tmp_path / "pieces", both.folder))
    assert set(first) == set(second)
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize("kind", SPARSE)
def test_one_layer_stacked_another_in_pieces(kind: str, tmp_path: Path) -> None:
    both = pair(kind, "ForCausalLM")
    here, there = (load_file(folder / "model.safetensors")
                   for folder in (both.folder, stacked(kind, tmp_path / "stacked")))
    mixed = {name: t for name, t in here.items() if ".layers.0." not in name}
    mixed |= {name: t for name, t in there.items() if ".layers.0." in name}
    same(load(kind, rewritten(both.folder, tmp_path, mixed)), both.ours)


@pytest.mark.parametrize("kind", SPARSE)
def test_states_of_single_experts(kind: str) -> None:
    """As files have them: what people read with safetensors, and what the Trainer resumes from."""
    both = pair(kind, "ForCausalLM")
    state = load_file(both.folder / "model.safetensors")
    model = type(both.ours)(both.ours.config)
    model.load_state_dict(state)
    same(model, both.ours)
    one = next(name for name in state if "experts.3." in name)
    with pytest.raises(CheckpointError, match=r"missing: '\S+experts.\S+proj'; unexpected: "):
        model.load_state_dict({name: t for name, t in state.items() if name != one})


def test_transformers_4_writes_and_reads_the_same(tmp_path: Path,
                                                  oracle457: Callable[..., Any]) -> None:
    lines = []
    for kind in SPARSE:
        pair(kind, "ForCausalLM").ours.save_pretrained(tmp_path / kind)
        if kind == "qwen3_moe":  # transformers 5 has another word for it, which 4 does not know
            path = tmp_path / kind / "config.json"
            path.write_text(path.read_text().replace("num_local_experts", "num_experts"))
        lines.append(f"{tmp_path / kind}|{type(pair(kind, 'ForCausalLM').ours).__name__}")
    names = oracle457(ORACLE, *lines)
    for kind in SPARSE:
        both = pair(kind, "ForCausalLM")
        same(load(kind, tmp_path / kind / "again"), both.ours)
        again = load_file(tmp_path / kind / "again" / "model.safetensors")
        assert sorted(again) == sorted(load_file(both.folder / "model.safetensors"))
        assert set(again) <= set(names[type(both.ours).__name__])


@pytest.mark.parametrize("form", [{}, {"safe_serialization": False}, {"max_shard_size": "6KB"}],
                         ids=["file", "pickle", "shards"])
@pytest.mark.parametrize("kind", SPARSE)
def test_read_as_another_type(kind: str, form: dict[str, Any], tmp_path: Path) -> None:
    both = pair(kind, "ForCausalLM")
    both.ours.save_pretrained(tmp_path, **form)
    model = load(kind, tmp_path, dtype=torch.bfloat16)
    state = both.ours.state_dict()
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, state[name].bfloat16()), name


@pytest.mark.parametrize("kind", SPARSE)
def test_layers_on_the_disk(kind: str, tmp_path: Path) -> None:
    """A stack that the file has in pieces is written where the user says, or it raises."""
    both = pair(kind, "ForCausalLM")
    where = spread_map(both.ours, "disk", "cpu")
    with pytest.raises(ValueError, match="no safetensors file holds it.*offload_folder"):
        load(kind, both.folder, device_map=where)
    with torch.no_grad():
        wanted = both.ours(**both.inputs()).logits
        for folder, options in ((both.folder, {"offload_folder": tmp_path / "away"}),
                                (stacked(kind, tmp_path / "stacked"), {})):
            model = load(kind, folder, device_map=where, **options)
            close(model(**both.inputs()).logits, wanted)


@pytest.mark.parametrize("kind", SPARSE)
def test_messages(kind: str, tmp_path: Path) -> None:
    both = pair(kind, "ForCausalLM")
    tensors = load_file(both.folder / "model.safetensors")
    one = next(name for name in sorted(tensors) if "experts.3." in name)
    other = one.replace("experts.3.", "experts.4.")
    with pytest.raises(CheckpointError, match=f"no place for: '{other}'"):
        load(kind, rewritten(both.folder, tmp_path, tensors | {other: tensors[one].clone()}))
    lacking = {name: tensor for name, tensor in tensors.items() if "experts.3." not in name}
    with pytest.raises(CheckpointError, match=r"no tensor '\S+\.experts\.3\.\S+' \(needed by mlp"):
        load(kind, rewritten(both.folder, tmp_path, lacking))
    bare = {name: tensor for name, tensor in tensors.items() if "experts." not in name}
    with pytest.raises(CheckpointError, match=r"no tensor '\S+\.experts\.0\.\S+', nor"):
        load(kind, rewritten(both.folder, tmp_path, bare))
    turned = tensors | {one: tensors[one].t().contiguous()}
    with pytest.raises(CheckpointError, match=rf"'{one}' has shape .*as its \d+ siblings"):
        load(kind, rewritten(both.folder, tmp_path, turned))
    small = {name: tensor[:8].clone() if "experts." in name else tensor
             for name, tensor in tensors.items()}
    with pytest.raises(CheckpointError, match=r"'\S+\.experts\.0\.\S+' has shape"):
        load(kind, rewritten(both.folder, tmp_path, small))


def test_memory_of_loading_is_one_copy_of_the_experts(tmp_path: Path, python: Any) -> None:
    config = enfold.AutoConfig.for_model(
        "mixtral", vocab_size=1000, hidden_size=256, intermediate_size=1024, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=8, num_local_experts=8)
    enfold.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert size > 100e6
    code = """
import sys, torch
import enfold.model.loading, enfold.model.classes, enfold.auto, enfold.weights.gathered
from enfold import AutoModelForCausalLM
def peak(): return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
AutoModelForCausalLM.class_for(enfold.AutoConfig.from_pretrained(sys.argv[1]))
before = peak()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
print(peak() - before)
"""
    done = python("-c", code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.1 * size + 20e6


def test_checkpoint_face(tmp_path: Path) -> None:
    """What else a checkpoint is asked for."""
    from enfold.files import open_checkpoint
    from enfold.weights.gathered import Gathered

    ours = pair("mixtral", "ForCausalLM").ours
    held = open_checkpoint(checkpoint("mixtral", "ForCausalLM"))
    found = Gathered(held, ours.pieces, "Mixtral")
    state = ours.state_dict()
    assert set(found) == set(found.keys()) == set(state) and len(found) == len(state)
    for name, tensor in found.items():
        assert torch.equal(tensor, state[name]) and name in found
        assert (found.shape(name), found.dtype(name)) == (tuple(tensor.shape), tensor.dtype)
        assert found.nbytes(name) == tensor.nbytes
        found.release(name)
    assert "model.layers.0.block_sparse_moe.gate.weight" not in found
