from __future__ import annotations

import pytest
import transformers

from enfold.errors import ArgumentError, ConfigError
from enfold.quant import others
from enfold.quant.awq import AwqConfig
from enfold.quant.compressed import CompressedTensorsConfig, matches
from enfold.quant.fine_fp8 import FineGrainedFP8Config
from enfold.quant.gptq import GPTQConfig
from enfold.quant.registry import as_config
from enfold.quant.torchao import TorchAoConfig

GROUPS = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "strategy": "group",
                                                        "group_size": 32}}}


@pytest.mark.parametrize(("make", "message"), [
    (lambda: GPTQConfig(bits=5), r"GPTQConfig: bits is 5, expected one of \(2, 3, 4, 8\)"),
    (lambda: GPTQConfig(bits=4, group_size=0), r"GPTQConfig: group_size is 0, expected -1 or"),
    (lambda: GPTQConfig(bits=4, damp_percent=2), r"damp_percent is 2, expected a number between"),
    (lambda: AwqConfig(bits=8), r"AwqConfig: bits is 8, expected 4"),
    (lambda: AwqConfig(group_size=-2), r"AwqConfig: group_size is -2, expected -1 or"),
    (lambda: FineGrainedFP8Config(weight_block_size=(0, 1)), r"weight_block_size is \(0, 1\)"),
    (lambda: FineGrainedFP8Config("fixed"), r"activation_scheme is 'fixed', expected 'dynamic'"),
    (lambda: TorchAoConfig("int4_weights"), r"quant_type is 'int4_weights' \(nearest: 'int4"),
    (lambda: CompressedTensorsConfig(), r"config_groups is empty"),
    (lambda: CompressedTensorsConfig({"W3A16": ["Linear"]}), r"no preset is called 'W3A16' \(near"),
    (lambda: CompressedTensorsConfig({"g": 3}), r"config_groups\['g'\] is a int, expected"),
    (lambda: CompressedTensorsConfig({"g": {"weights": 4}}), r"weights is a int, expected"),
    (lambda: CompressedTensorsConfig({"g": {"weights": {"strategy": "row"}}}),
     r"strategy is 'row', expected one of tensor, channel, group"),
    (lambda: CompressedTensorsConfig({"g": {"weights": {"strategy": "group"}}}),
     r"strategy 'group' with group_size None, expected a positive"),
    (lambda: CompressedTensorsConfig({"g": {"weights": {"strategy": "block"}}}),
     r"strategy 'block' without block_structure"),
    (lambda: CompressedTensorsConfig({"g": {"weights": {"type": "nf"}}}), r"type is 'nf', exp"),
])
def test_values_that_do_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: GPTQConfig(bits=4, format="marlin"), r"format 'marlin' is not read"),
    (lambda: GPTQConfig.from_dict({"bits": 4, "is_marlin_format": True}), "Marlin's layout"),
    (lambda: AwqConfig(version="exllama"), r"version 'exllama' is not read, expected one of gemm"),
    (lambda: AwqConfig(zero_point=False), r"zero_point=False is not read"),
    (lambda: FineGrainedFP8Config(scale_fmt="ue8m0"), r"scale_fmt='ue8m0' is not built"),
    (lambda: TorchAoConfig("int4_weight_only", untie_embedding_weights=True),
     r"untie_embedding_weights=True is not built"),
    (lambda: TorchAoConfig.from_dict({"quant_type": {"default": {}}}), "of torchao's class"),
    (lambda: TorchAoConfig(type("IntxWeightOnlyConfig", (), {})()), r"IntxWeightOnlyConfig is"),
    (lambda: CompressedTensorsConfig(GROUPS, kv_cache_scheme={"a": 8}), "kv_cache_scheme"),
    (lambda: CompressedTensorsConfig(GROUPS, transform_config={"a": 1}), "transform_config"),
    (lambda: CompressedTensorsConfig(GROUPS, sparsity_config={"format": "sparse-24"}),
     r"sparsity_config is not built"),
    (lambda: CompressedTensorsConfig(GROUPS, run_compressed=False), r"model\.dequantize\(\)"),
    (lambda: CompressedTensorsConfig({"g": {"weights": {"strategy": "tensor_group"}}}), "NVFP4"),
    (lambda: CompressedTensorsConfig({"g": {"output_activations": {}}}), "output_activations are"),
])
def test_what_is_not_built(make, message):
    with pytest.raises(NotImplementedError, match=message):
        make()


@pytest.mark.parametrize("name", list(others.INSTEAD))
def test_other_methods_say_what_to_use(name):
    method = others.INSTEAD[name][0]
    with pytest.raises(NotImplementedError, match=f"{name}: the method '{method}' is not built"):
        getattr(others, name)(bits=4)
    with pytest.raises(NotImplementedError, match=f"{name}: the method '{method}'"):
        as_config({"quant_method": method})


def test_torchao_takes_no_group_size_where_there_is_none():
    with pytest.raises(ArgumentError, match="float8_weight_only takes no group_size, got 32"):
        TorchAoConfig("float8_weight_only", group_size=32)


def test_torchao_objects_are_known_by_their_class():
    given = type("Int4WeightOnlyConfig", (), {"group_size": 64})()
    config = TorchAoConfig(given)
    assert (config.quant_type, config.group_size) == ("int4_weight_only", 64)
    group = as_config(config).config_groups["group_0"]
    assert (group.weights.num_bits, group.weights.group_size) == (4, 64)


@pytest.mark.parametrize(("ours", "theirs", "values"), [
    (GPTQConfig, transformers.GPTQConfig, {"bits": 3, "group_size": 64, "desc_act": True}),
    (AwqConfig, transformers.AwqConfig, {"group_size": 64, "version": "gemv"}),
    (FineGrainedFP8Config, transformers.FineGrainedFP8Config, {"weight_block_size": (64, 64)}),
])
def test_transformers_reads_what_we_write(ours, theirs, values):
    written = ours(**values).to_dict()
    read = theirs.from_dict(dict(written)).to_dict()
    assert all(read[name] == written[name] for name in ("quant_method", *values))
    again = as_config(theirs(**values)).to_dict()
    assert all(again[name] == written[name] for name in values)


def test_notes_of_other_programs_are_kept():
    values = {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "gptq_v2",
              "static_groups": False, "model_name_or_path": None, "lm_head": False}
    config = as_config(values)
    assert config.format == "gptq_v2" and values.items() <= config.to_dict().items()


def test_gptqmodel_overrides_layers():
    config = as_config({"quant_method": "gptq", "bits": 4, "group_size": 32, "dynamic": {
        "-:.*lm_head.*": {}, r"+:.*\.0\..*": {"bits": 8, "group_size": 64}}})
    assert config.scheme("model.layers.0.q").bits == 8
    assert config.scheme("model.layers.0.q").group_size == 64
    assert config.scheme("model.layers.1.q").bits == 4


def test_compressed_tensors_patterns():
    assert matches("model.layers.0.self_attn.q_proj", ["re:.*q_proj$"])
    assert matches("lm_head", ["lm_head"]) and matches("anything", ["Linear"])
    assert not matches("model.lm_head", ["lm_head"]) and not matches("a.b", ["re:b"])
