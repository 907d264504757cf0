"""Models in GGUF files: read as transformers reads them, written as llama.cpp's converter does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import enfold
from enfold.errors import ArgumentError, CheckpointError, ConfigError, EnfoldError, InputError
from enfold.files.gguf import GGUFFile, write_gguf
from enfold.model.gguf import save_gguf

SIZES = {"vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
GPT2 = {"vocab_size": 96, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64,
        "bos_token_id": 0, "eos_token_id": 1}
IDS = torch.arange(3, 21).view(2, 9)


def random(model: Any) -> Any:
    generator = torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data.uniform_(-0.3, 0.3, generator=generator)
    return model.eval()


def outputs(model: Any) -> Any:
    with torch.no_grad():
        return model(IDS)[0]


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


def tiny(kind: str, **values: Any) -> Any:
    sizes = GPT2 if kind == "GPT2" else SIZES
    config = getattr(enfold, f"{kind}Config")(**(sizes | values))
    head = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    return random(getattr(enfold, kind + head)(config))


LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 16.0,
        "original_max_position_embeddings": 32}
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


def edit(model: Any, folder: Path, change: Callable[[dict[str, Any]], Any],
         tensors: Callable[[dict[str, Any]], Any] = lambda held: None) -> Path:
    """x.gguf of a model with other metadata or tensors."""
    save_gguf(model, folder / "first.gguf", kind="f32")
    file = GGUFFile(folder / "first.gguf")
    metadata, held = dict(file.metadata), {name: file.get(name) for name in file.entries}
    change(metadata)
    tensors(held)
    write_gguf(folder / "x.gguf", metadata, held, dict.fromkeys(held, "F32"))
    return folder / "x.gguf"


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


def test_a_value_for_each_layer_that_is_always_the_same(tmp_path: Path) -> None:
    path = edit(tiny("Llama"), tmp_path,
                lambda m: m.update({"llama.feed_forward_length": [96, 96]}))
    assert enfold.AutoConfig.from_pretrained(path).intermediate_size == 96


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


def test_a_window_that_llama_cpp_has_not_is_said(tmp_path: Path,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    save_gguf(tiny("Mistral", sliding_window=4), tmp_path / "x.gguf")
    assert "attends to the last 4 positions only" in caplog.text


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
