"""GGUF files that are no model's, and models that can't be written as one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import enfold
from enfold.errors import CheckpointError, EnfoldError, InputError
from enfold.model.gguf import save_gguf
from tests.models.made import SIZES, YARN, edit, tiny

FAULTS: list[tuple[str, Any, Any, type[Exception], str]] = [
    ("no architecture", lambda m: m.pop("general.architecture"), None, CheckpointError,
     "no general.architecture"),
    ("unknown", lambda m: m.update({"general.architecture": "mamba"}), None, NotImplementedError,
     "architecture 'mamba' is not built"),
    ("experts", lambda m: m.update({"llama.expert_count": 8}), None, NotImplementedError,
     "with 8 experts is not built"),
    ("by layer", lambda m: m.update({"llama.attention.head_count": [4, 2]}), None,
     NotImplementedError, "head_count differs from layer to layer"),
    ("no size", lambda m: m.pop("llama.embedding_length"), None, CheckpointError,
     r"llama\.embedding_length is None, expected a whole number above 0"),
    ("a text", lambda m: m.update({"llama.block_count": "two"}), None, CheckpointError,
     "block_count is 'two', expected a whole number above 0"),
    ("too few blocks", lambda m: m.update({"llama.block_count": 1}), None, CheckpointError,
     "counts 1 blocks, the file has the tensors of 2"),
    ("too many blocks", lambda m: m.update({"llama.block_count": 1 << 31}), None, CheckpointError,
     "counts 2,147,483,648 blocks, the file has the tensors of 2"),
    ("a part", lambda m: m.update({"llama.attention.key_length": "x"}), None, CheckpointError,
     r"llama\.attention\.key_length is 'x', expected a whole number above 0"),
    ("turns", lambda m: m.update({"llama.rope.freq_base": "x"}), None, CheckpointError,
     r"llama\.rope\.freq_base is 'x', expected a number above 0"),
    ("yarn", lambda m: m.update({"llama.rope.scaling.type": "yarn"}), None, CheckpointError,
     r"llama\.rope\.scaling\.factor is None, expected a number above 0"),
    ("scaling", lambda m: m.update({"llama.rope.scaling.type": "longrope"}), None,
     NotImplementedError, "'longrope' without its factors"),
    ("missing", None, lambda t: t.pop("blk.1.attn_q.weight"), CheckpointError,
     r"no tensor 'model\.layers\.1\.self_attn\.q_proj\.weight'"),
    ("too many", None, lambda t: t.update({"blk.0.ffn_gate_inp.weight": torch.ones(2, 2)}),
     CheckpointError, r"no place for: 'blk\.0\.ffn_gate_inp\.weight'"),
    ("shape", None, lambda t: t.update({"blk.0.ffn_up.weight": torch.ones(2, 2)}), CheckpointError,
     r"shape \(2, 2\), expected \(96, 64\)"),
]


@pytest.mark.parametrize(("metadata", "tensors", "error", "message"),
                         [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_faults_of_a_file(tmp_path: Path, metadata: Any, tensors: Any, error: type[Exception],
                          message: str) -> None:
    path = edit(tiny("Llama"), tmp_path, metadata or (lambda m: None), tensors or (lambda t: None))
    with pytest.raises(error, match=message):
        enfold.AutoModelForCausalLM.from_pretrained(path)


@pytest.mark.parametrize(("kind", "values", "error", "message"), [
    ("Llama", {"hidden_act": "gelu"}, NotImplementedError, "hidden_act='gelu' can't be said"),
    ("GPT2", {"activation_function": "relu"}, NotImplementedError, "activation_function='relu'"),
    ("GPT2", {"scale_attn_weights": False}, NotImplementedError, "scale_attn_weights=False"),
    ("GPT2", {"scale_attn_by_inverse_layer_idx": True}, NotImplementedError, "inverse_layer_idx"),
    ("Qwen2", {"use_sliding_window": True, "max_window_layers": 0}, NotImplementedError,
     "use_sliding_window=True"),
    ("Llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
     NotImplementedError, "rope_type 'dynamic' can't be written"),
])
def test_what_can_not_be_written(tmp_path: Path, kind: str, values: dict[str, Any],
                                 error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        save_gguf(tiny(kind, **values), tmp_path / "x.gguf")
    assert list(tmp_path.iterdir()) == []


def test_models_of_other_kinds_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="GGUF type 'q4_k', expected one of f32"):
        save_gguf(tiny("Llama"), tmp_path / "x.gguf", kind="q4_k")
    sizes = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
    with pytest.raises(NotImplementedError, match="a 'bert' model can't be written"):
        save_gguf(enfold.BertModel(enfold.BertConfig(**sizes)), tmp_path / "x.gguf")
    with pytest.raises(InputError, match="LlamaModel can't be written as GGUF"):
        save_gguf(enfold.LlamaModel(enfold.LlamaConfig(**SIZES)), tmp_path / "x.gguf")
    model = tiny("Llama")
    model.add_adapter(enfold.LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(CheckpointError, match="a model with adapters can't be written"):
        save_gguf(model, tmp_path / "x.gguf")


@settings(max_examples=150, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=8)), min_size=1,
                max_size=3))
def test_a_damaged_header_is_read_or_refused(tmp_path: Path,
                                             edits: list[tuple[int, bytes]]) -> None:
    """Lying metadata is found before a model of its size is built."""
    whole, path = tmp_path / "whole.gguf", tmp_path / "x.gguf"
    if not whole.exists():
        save_gguf(tiny("Llama", rope_parameters=YARN), whole, kind="q8_0")
    data = bytearray(whole.read_bytes())
    keys = [at for at in range(2000) if data[at:at + 6] == b"llama."]
    for where, new in edits:
        at = keys[where % len(keys)] + where // len(keys) % 60
        data[at:at + len(new)] = new
    path.write_bytes(data)
    with suppress(EnfoldError, NotImplementedError):
        enfold.AutoModelForCausalLM.from_pretrained(path)
