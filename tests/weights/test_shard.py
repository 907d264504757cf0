"""Tensor parallelism: two processes give what one gives, each with its part of the weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enfold.errors import ArgumentError, InputError
from enfold.weights.shard.cut import Cut
from tests.weights.place_elsewhere import MODELS, folder, load

ROOT = Path(__file__).parents[2]
LLAMA = ("llama", "ForCausalLM")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What two processes found, and the folder that they saved to, by model."""
    home = tmp_path_factory.mktemp("ranks")
    cases = [(*case, str(folder(*case)), str(home / "-".join(case))) for case in MODELS]
    cases.append((*LLAMA, str(odd_vocabulary(home / "odd")), str(home / "odd saved")))
    path = home / "cases.json"
    path.write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "tests.weights.shard_worker", str(path)], cwd=ROOT, capture_output=True, text=True,
        timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(Path(f"{path}.out").read_text())
    return {Path(case[3]).name: {**result, "folder": case[3]}
            for case, result in zip(cases, found, strict=True)}


def odd_vocabulary(path: Path) -> Path:
    """A checkpoint whose logits two processes can't halve."""
    model = load(*LLAMA)
    model.resize_token_embeddings(49)
    model.save_pretrained(path)
    return path


@pytest.mark.parametrize("case", MODELS, ids="-".join)
def test_two_processes(case: tuple[str, str], results: dict[str, dict[str, Any]]) -> None:
    found = results["-".join(case)]
    saved = (Path(found["folder"]) / "model.safetensors").read_bytes()
    assert saved == (folder(*case) / "model.safetensors").read_bytes()
    kinds = {"colwise", "rowwise"}
    if case == LLAMA:  # the one with a head of its own
        kinds.add("colwise_gather_output")
    assert found["size"] == 2 and set(found["plan"].values()) == kinds
    biases = found["whole"] - found["part"] - found["cut"] // 2
    assert 0 <= biases < 0.02 * found["whole"], "half of what is cut, and some biases"


def test_the_plan_by_their_names(results: dict[str, dict[str, Any]]) -> None:
    plan = results["llama-ForCausalLM"]["plan"]
    names = {name.removeprefix("model.layers.0."): how for name, how in plan.items()
             if name.startswith("model.layers.0.")}
    assert names == {**{f"self_attn.{x}_proj": "colwise" for x in "qkv"},
                     "self_attn.o_proj": "rowwise", "mlp.gate_proj": "colwise",
                     "mlp.up_proj": "colwise", "mlp.down_proj": "rowwise"}
    assert plan["lm_head"] == "colwise_gather_output"
    assert load(*LLAMA).tp_plan == {} and load(*LLAMA).tp_size is None


def test_logits_that_do_not_divide(results: dict[str, dict[str, Any]]) -> None:
    assert "lm_head" not in results["odd saved"]["plan"]


@given(st.integers(1, 4), st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 1))
def test_parts_join(ranks: int, lengths: list[int], dim: int) -> None:
    cut = Cut(dim, tuple(length * ranks for length in lengths), ranks)
    shape = [5, 5]
    shape[dim] = cut.length
    whole = torch.randn(shape)
    parts = [cut.take(whole, rank) for rank in range(ranks)]
    assert torch.equal(cut.join(parts), whole)
    assert all(part.shape[dim] * ranks == cut.length for part in parts)
    if len(lengths) == 1 and dim == 0:
        assert parts[-1].untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()


def test_one_process_holds_all() -> None:
    assert load(*LLAMA, tp_plan="auto").tp_size is None


@pytest.mark.parametrize(("ranks", "asked", "error", "message"), [
    (3, {"tp_plan": "auto"}, InputError,
     r"model.layers.0.self_attn has 4 heads, which 3 ranks can't share. Do: start a number of"),
    (4, {"tp_plan": "auto"}, InputError, r"self_attn has 2 key-value heads, which 4 ranks can't"),
    (2, {"tp_plan": "auto", "tp_size": 4}, InputError,
     r"tp_size is 4, but torchrun started 2 processes, and all of them share a model. Do: torchrun "
     r"--nproc-per-node 4"),
    (2, {"tp_size": 4}, ArgumentError, r"tp_size=4 without a tp_plan. Do: tp_plan='auto'"),
    (2, {"tp_plan": {"a": "colwise"}}, NotImplementedError,
     r"tp_plan is \{'a': 'colwise'\}; only 'auto' is built.* Do: tp_plan='auto'"),
    (2, {"tp_plan": "auto", "device_map": "auto"}, ArgumentError,
     r"tp_plan and device_map were both given, .* Do: leave device_map out"),
    (2, {"tp_plan": "auto", "load_in_4bit": True}, NotImplementedError,
     r"a quantized model can't be cut over processes. Do: leave tp_plan out"),
])
def test_messages(ranks: int, asked: dict[str, Any], error: type[Exception], message: str,
                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    with pytest.raises(error, match=message):
        load(*LLAMA, **asked)


def test_features_that_do_not_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.weights.shard.model import cut_model

    family = type(load("bert", "ForMaskedLM"))
    with torch.device("meta"):
        model = family(family.config_class(hidden_size=32, num_attention_heads=2,
                                           num_hidden_layers=1, intermediate_size=41))
    with pytest.raises(InputError, match=r"bert.encoder.layer.0.output has 41 features, which 2 "):
        cut_model(model, 2)


def test_what_a_shared_model_does_not_do() -> None:
    from enfold import LoraConfig, get_peft_model
    from enfold.train.parallel.ranks import Ranks

    model = load(*LLAMA)
    model.tp_size = 2
    with pytest.raises(NotImplementedError, match=r"adapters on a model that processes share .* "
                                                  r"not built. Do: load it without tp_plan"):
        get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(NotImplementedError, match=r"can't change its vocabulary. Do: resize and"):
        model.resize_token_embeddings(50)
    ranks = Ranks.__new__(Ranks)
    ranks.world_size = 2
    with pytest.raises(ValueError, match=r"shared by the processes \(tp_plan\). Do: load it witho"):
        ranks.wrap(model)
