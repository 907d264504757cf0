"""Models in GGUF files: read as transformers reads them, written as llama.cpp's converter does."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold
from enfold.errors import (
    ArgumentError,
    ConfigError,
    FileMissing,
)
from enfold.files.gguf import GGUFFile, write_gguf
from enfold.model.gguf import save_gguf
from tests.models.made import GPT2, SIZES, YARN, edit, outputs, random, tiny


def by_gguf(model: Any, path: Path, arch: str, kind: str) -> None:
    """Write a model of transformers with the gguf package alone."""
    gguf = pytest.importorskip("gguf")
    config, writer = model.config, gguf.GGUFWriter(path, arch)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    if arch in ("llama", "qwen2"):
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    else:
        writer.add_feed_forward_length(4 * 64 if arch == "gpt2" else config.intermediate_size)
        eps = "layer_norm_epsilon" if arch == "gpt2" else "layer_norm_eps"
        writer.add_layer_norm_eps(getattr(config, eps))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if (name == "lm_head.weight" and config.tie_word_embeddings) or "pooler" in name:
            continue
        value = tensor.float().numpy()
        heads = {"q_proj": config.num_attention_heads,
                 "k_proj": getattr(config, "num_key_value_heads", 0)}
        for part, count in heads.items():
            if arch == "llama" and part in name:
                value = value.reshape(count, 2, -1, 64).swapaxes(1, 2).reshape(value.shape)
        if arch == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            value = value.T
        stored = gguf.GGMLQuantizationType[kind if value.ndim > 1 else "F32"]
        data = gguf.quants.quantize(np.ascontiguousarray(value), stored)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data,
                          raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_a_file_computes_what_it_does_in_transformers(tmp_path: Path, arch: str,
                                                      kind: str) -> None:
    transformers = pytest.importorskip("transformers", minversion="5")
    made = {"llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig),
            "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config)}
    model, config = made[arch]
    by_gguf(random(model(config(**SIZES, tie_word_embeddings=arch == "qwen2"))),
            tmp_path / "x.gguf", arch, kind)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="x.gguf",
                                                               dtype=torch.float32).eval()
    ours = enfold.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="x.gguf",
                                                       dtype=torch.float32)
    assert torch.allclose(outputs(ours), outputs(theirs), atol=1e-5)
    for key in (*SIZES, "tie_word_embeddings", "rope_parameters", "hidden_act"):
        assert ours.config[key] == getattr(theirs.config, key), key
    assert ours.config.rms_norm_eps == pytest.approx(theirs.config.rms_norm_eps)
    assert ours.config.name_or_path == str(tmp_path)


@pytest.mark.parametrize(("arch", "auto"), [("gpt2", "AutoModelForCausalLM"),
                                            ("bert", "AutoModel")])
def test_gpt2_and_bert_compute_what_they_did(tmp_path: Path, arch: str, auto: str) -> None:
    transformers = pytest.importorskip("transformers", minversion="5")
    sizes = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
    model = random(transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)) if arch == "gpt2"
                   else transformers.BertModel(transformers.BertConfig(**sizes)))
    by_gguf(model, tmp_path / "x.gguf", arch, "F32")
    ours = getattr(enfold, auto).from_pretrained(tmp_path / "x.gguf")
    assert torch.allclose(outputs(ours), outputs(model), atol=1e-5)


LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.5] * 8,
        "long_factor": [2.5] * 8, "original_max_position_embeddings": 32, "attention_factor": 1.25}
ROUND = [
    ("Llama", {}), ("Llama", {"tie_word_embeddings": True}), ("Llama", {"head_dim": 32}),
    ("Llama", {"attention_bias": True, "mlp_bias": True}), ("Llama", {"rope_parameters": LLAMA3}),
    ("Llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    ("Llama", {"rope_parameters": YARN}), ("Llama", {"rope_parameters": LONG}),
    ("Llama", {"rms_norm_eps": 1e-5, "rope_theta": 1e6}),
    ("Mistral", {"sliding_window": 4}), ("Qwen2", {"tie_word_embeddings": True}), ("Qwen2", {}),
    ("GPT2", {}), ("GPT2", {"n_inner": 100, "tie_word_embeddings": False}),
]


@pytest.mark.parametrize(("kind", "values"), ROUND)
def test_a_model_written_and_read_is_the_same(tmp_path: Path, kind: str,
                                              values: dict[str, Any]) -> None:
    model = tiny(kind, **values)
    save_gguf(model, tmp_path / "x.gguf", kind="f32")
    again = enfold.AutoModelForCausalLM.from_pretrained(tmp_path / "x.gguf")
    assert type(again).__name__ == type(model).__name__
    assert torch.allclose(outputs(again), outputs(model), atol=1e-6)
    before, after = model.state_dict(), again.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    body = enfold.AutoModel.from_pretrained(tmp_path / "x.gguf")
    assert torch.equal(next(body.parameters()), next(model.parameters()))


def test_what_tensors_are_stored_as(tmp_path: Path) -> None:
    expected = {
        ("f16", False): {"token_embd.weight": "F16", "output.weight": "F16",
                         "blk.0.attn_q.weight": "F16", "blk.0.attn_norm.weight": "F32"},
        ("bf16", False): {"token_embd.weight": "BF16", "output_norm.weight": "F32"},
        ("q8_0", False): {"token_embd.weight": "Q8_0", "output.weight": "Q8_0",
                          "blk.1.ffn_down.weight": "F16"},
        ("q4_0", False): {"token_embd.weight": "Q4_0", "output.weight": "Q8_0",
                          "blk.1.ffn_up.weight": "Q4_0"},
        ("q4_0", True): {"token_embd.weight": "Q8_0", "blk.1.attn_output.weight": "Q4_0"}}
    for (kind, tied), kinds in expected.items():
        model = tiny("Llama", intermediate_size=80, tie_word_embeddings=tied)
        counts = save_gguf(model, tmp_path / "x.gguf", kind=kind)
        file = GGUFFile(tmp_path / "x.gguf")
        assert {name: file.kind(name) for name in kinds} == kinds
        assert counts.total() == len(file.entries)
        assert ("output.weight" in file.entries) != tied


def test_metadata_is_named_as_llama_cpp_names_it(tmp_path: Path) -> None:
    model = tiny("Llama", head_dim=32, bos_token_id=3, eos_token_id=4)
    save_gguf(model, tmp_path / "x.gguf", kind="q8_0", name="tiny")
    assert GGUFFile(tmp_path / "x.gguf").metadata == {
        "general.architecture": "llama", "general.type": "model", "general.name": "tiny",
        "general.file_type": 7, "general.quantization_version": 2, "llama.vocab_size": 96,
        "llama.context_length": 64, "llama.embedding_length": 64, "llama.block_count": 2,
        "llama.feed_forward_length": 96, "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2, "llama.rope.dimension_count": 32,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-6),
        "llama.attention.key_length": 32, "llama.attention.value_length": 32,
        "llama.rope.freq_base": 1e4}


@pytest.mark.parametrize(("dtype", "kind", "expected"), [
    (None, "f16", torch.float16), ("auto", "bf16", torch.bfloat16), (None, "q8_0", torch.float32),
    ("bfloat16", "q4_0", torch.bfloat16)])
def test_dtypes(tmp_path: Path, dtype: Any, kind: str, expected: torch.dtype) -> None:
    save_gguf(tiny("Llama"), tmp_path / "x.gguf", kind=kind)
    options = {} if dtype is None else {"dtype": dtype}
    model = enfold.AutoModelForCausalLM.from_pretrained(tmp_path / "x.gguf", **options)
    assert {parameter.dtype for parameter in model.parameters()} == {expected}


def test_configs_and_classes_read_the_file_too(tmp_path: Path) -> None:
    save_gguf(tiny("Qwen2"), tmp_path / "x.gguf", kind="f16")
    with pytest.raises(FileMissing, match=r"no config.json, but x.gguf. Do: .*gguf_file='x.gguf'"):
        enfold.AutoModel.from_pretrained(tmp_path)
    config = enfold.AutoConfig.from_pretrained(tmp_path, gguf_file="x.gguf")
    assert (config.model_type, config.hidden_size, config.dtype) == ("qwen2", 64, "float16")
    again = enfold.Qwen2Config.from_pretrained(tmp_path / "x.gguf")
    assert again.to_json_string() == config.to_json_string()
    model = enfold.Qwen2ForCausalLM.from_pretrained(tmp_path, gguf_file="x.gguf")
    assert model.config.architectures == ["Qwen2ForCausalLM"]
    classifier = enfold.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, gguf_file="x.gguf", num_labels=3)
    assert classifier.config.num_labels == 3
    with pytest.raises(ConfigError, match="model_type 'qwen2', expected 'llama'"):
        enfold.LlamaForCausalLM.from_pretrained(tmp_path / "x.gguf")
    with pytest.raises(ArgumentError, match="do not go with a GGUF file"):
        enfold.AutoModelForCausalLM.from_pretrained(tmp_path / "x.gguf", variant="fp16")


def test_files_in_several_parts(tmp_path: Path) -> None:
    model = tiny("Llama")
    save_gguf(model, tmp_path / "whole.gguf", kind="f32")
    whole = GGUFFile(tmp_path / "whole.gguf")
    names = whole.keys()
    for part, held in enumerate((names[:5], names[5:])):
        metadata = (whole.metadata if part == 0 else {}) | {"split.count": 2, "split.no": part}
        write_gguf(tmp_path / f"m-{part + 1:05d}-of-00002.gguf", metadata,
                   {name: whole.get(name) for name in held}, dict.fromkeys(held, "F32"))
    again = enfold.AutoModelForCausalLM.from_pretrained(tmp_path / "m-00001-of-00002.gguf")
    assert torch.allclose(outputs(again), outputs(model), atol=1e-6)


def test_keys_that_are_not_understood_are_said(tmp_path: Path,
                                               caplog: pytest.LogCaptureFixture) -> None:
    edit(tiny("Llama"), tmp_path, lambda metadata: metadata.update(
        {"llama.logit_scale": 0.5, "llama.odd": 1, "general.author": "x"}))
    with caplog.at_level(logging.WARNING):
        enfold.AutoConfig.from_pretrained(tmp_path / "x.gguf")
    assert "not understood and was left out: llama.logit_scale, llama.odd." in caplog.text


def test_a_window_that_llama_cpp_has_not_is_said(tmp_path: Path,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    save_gguf(tiny("Mistral", sliding_window=4), tmp_path / "x.gguf")
    assert "attends to the last 4 positions only" in caplog.text
