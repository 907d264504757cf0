"""GGUF's Q4_0 and Q8_0 kept in their bits, as compressed-tensors has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import enfold
from enfold.errors import CheckpointError, ConfigError
from enfold.files.gguf import GGUFFile
from enfold.model.gguf import save_gguf
from enfold.quant.gguf import GGUFQuantizationConfig
from enfold.weights.packed import packed

SIZES = {"vocab_size": 96, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS = {"Llama": {"num_key_value_heads": 2, "intermediate_size": 96},
         "Qwen2": {"num_key_value_heads": 4, "intermediate_size": 80, "tie_word_embeddings": True},
         "GPT2": {"bos_token_id": 0, "eos_token_id": 0}}
IDS = torch.arange(3, 21).view(2, 9)


def written(kind: str, stored: str, folder: Path) -> Path:
    torch.manual_seed(0)
    config = getattr(enfold, f"{kind}Config")(**SIZES, **KINDS[kind])
    head = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    save_gguf(getattr(enfold, kind + head)(config), folder / "x.gguf", kind=stored)
    return folder / "x.gguf"


def load(path: Path, **options: Any) -> Any:
    return enfold.AutoModelForCausalLM.from_pretrained(path, **options)


def outputs(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


@pytest.mark.parametrize("stored", ["q4_0", "q8_0"])
@pytest.mark.parametrize(("kind", "count"), [("Llama", 15), ("Qwen2", 12), ("GPT2", 8)])
def test_the_numbers_are_those_of_the_file(tmp_path: Path, kind: str, count: int,
                                           stored: str) -> None:
    """Of Qwen2, matrices with rows of 80 are F16 and stay plain; heads of q and k are turned."""
    path = written(kind, stored, tmp_path)
    plain, kept = load(path), load(path, quantization_config=GGUFQuantizationConfig())
    layers = packed(kept)
    assert len(layers) == count
    for place, layer in layers.items():
        weight = nn.Module.get_submodule(plain, place).weight
        assert torch.equal(layer.dequantize(torch.float32), weight.t() if layer.turned else weight)
    assert torch.allclose(outputs(kept), outputs(plain), atol=2e-2)
    assert kept.is_quantized
    assert kept.quantization_method == "compressed-tensors"


def test_a_save_is_a_compressed_tensors_checkpoint(tmp_path: Path) -> None:
    path = written("Llama", "q4_0", tmp_path)
    model = load(path, quantization_config=GGUFQuantizationConfig())
    model.save_pretrained(tmp_path / "out")
    again = load(tmp_path / "out")
    assert torch.equal(outputs(again), outputs(model))
    groups = again.config.quantization_config.to_dict()["config_groups"].values()
    assert {group["weights"]["num_bits"]: len(group["targets"]) for group in groups} == {4: 14,
                                                                                         8: 1}
    file = GGUFFile(path)
    size = sum(file.nbytes(key) for key in file.entries if file.kind(key) in ("Q4_0", "Q8_0")
               and key != "token_embd.weight")
    held = sum(tensor.nbytes for layer in packed(again).values()
               for name, tensor in layer.tensors().items() if name != "weight_shape")
    assert held == size


def test_types_and_generation(tmp_path: Path) -> None:
    path = written("Llama", "q8_0", tmp_path)
    kept = load(path, dtype=torch.bfloat16, quantization_config=GGUFQuantizationConfig())
    assert kept.dtype == torch.bfloat16
    assert outputs(kept).dtype == torch.bfloat16
    plain, kept = load(path), load(path, quantization_config=GGUFQuantizationConfig())
    texts = [model.generate(IDS[:1], max_new_tokens=8, do_sample=False) for model in (plain, kept)]
    assert texts[0].shape == texts[1].shape


def test_what_has_no_such_blocks(tmp_path: Path) -> None:
    path = written("Llama", "f16", tmp_path)
    with pytest.raises(CheckpointError, match="no linear layer is Q4_0 or Q8_0"):
        load(path, quantization_config=GGUFQuantizationConfig())
    load(path).save_pretrained(tmp_path / "plain")
    with pytest.raises(ConfigError, match="keeps the blocks of a GGUF file"):
        load(tmp_path / "plain", quantization_config=GGUFQuantizationConfig())
