"""Models from configs: meta device, sizes, fresh weights, dtypes, resized vocabularies."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import transformers

import enfold
from enfold.errors import InputError
from enfold.models.registry import get_family
from tests.families.pairs import ARCHITECTURES, LANGUAGE, close, fresh, ids, our_class, pair
from tests.families.tiny import EOS, TINY, VOCAB

KNOWN_SIZES = [  # (config class, values, head, parameters)
    ("Llama", {}, "ForCausalLM", 6_738_415_616),
    ("Llama", {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
               "num_attention_heads": 40}, "ForCausalLM", 13_015_864_320),
    ("Bert", {}, "Model", 109_482_240),
    ("Bert", {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
              "num_attention_heads": 16}, "ForMaskedLM", 335_174_458),
    ("T5", {}, "ForConditionalGeneration", 60_506_624),
    ("Bart", {}, "ForConditionalGeneration", 406_291_456),
    ("GPT2", {}, "LMHeadModel", 124_439_808),
    ("GPT2", {"n_embd": 1600, "n_layer": 48, "n_head": 25}, "LMHeadModel", 1_557_611_200),
    ("Mistral", {}, "ForCausalLM", 7_241_732_096),
    ("DistilBert", {}, "Model", 66_362_880),
    ("Roberta", {"max_position_embeddings": 514, "type_vocab_size": 1}, "ForMaskedLM", 124_697_433),
    ("Qwen2", {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
               "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True},
     "ForCausalLM", 494_032_768),
]


@pytest.mark.parametrize(("title", "values", "suffix", "count"), KNOWN_SIZES)
def test_known_sizes_on_the_meta_device(title: str, values: dict[str, Any], suffix: str,
                                        count: int) -> None:
    config = getattr(enfold, f"{title}Config")(**values)
    with torch.device("meta"):
        model = getattr(enfold, title + suffix)(config)
        theirs = getattr(transformers, title + suffix)(
            getattr(transformers, f"{title}Config")(**values))
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert model.num_parameters() == theirs.num_parameters()
    assert model.num_parameters() == count
    assert model.num_parameters(exclude_embeddings=True) == theirs.num_parameters(
        exclude_embeddings=True)


@pytest.mark.parametrize("case", ARCHITECTURES, ids=ids)
def test_meta_device(case: tuple[str, str]) -> None:
    config = copy.deepcopy(pair(*case).ours.config)
    with torch.device("meta"):
        model = our_class(*case)(config)
    wanted = pair(*case).ours.state_dict()
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {
        name: tensor.shape for name, tensor in wanted.items()}
    model.load_state_dict(wanted, assign=True)
    assert model.device.type == "cpu"


@pytest.mark.parametrize("case", LANGUAGE, ids=ids)
def test_fresh_weights_are_plausible_and_reproducible(case: tuple[str, str, str]) -> None:
    values = TINY[case[0]].config(case[2])
    models = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        models.append(our_class(*case[:2])(our_class(*case[:2]).config_class(**values)))
    torch.manual_seed(0)
    theirs = dict(type(pair(*case).theirs)(pair(*case).theirs.config).named_parameters())
    first, again, other = (dict(model.named_parameters()) for model in models)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        if case[2] == "unscaled" and name == "lm_head.weight":
            continue  # a new T5 of transformers 5 is always tied
        wanted, got = float(theirs[name].std()), float(tensor.std())
        if wanted == 0:
            assert torch.equal(tensor, theirs[name]), name
        else:
            spread = 0.05 + 4 / tensor.numel() ** 0.5  # of two samples' deviations
            assert abs(math.log(got / wanted)) < spread, f"{name}: {got} against {wanted}"
            assert "embed_positions" in name or not torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("kind", TINY)
def test_from_config(kind: str) -> None:
    config = enfold.AutoConfig.for_model(kind, **TINY[kind].config())
    model = enfold.AutoModel.from_config(config, dtype=torch.bfloat16, attn_implementation="eager")
    assert model.dtype == torch.bfloat16 and not model.config.output_attentions
    assert type(model).__name__ == f"{get_family(kind).title}Model"
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_dtype_and_device_moves() -> None:
    model = fresh("llama", "ForCausalLM").ours
    given = pair("llama", "ForCausalLM").inputs()
    for dtype in (torch.float64, torch.bfloat16, torch.float32):
        assert model.to(dtype) is model
        assert model.dtype == dtype
        assert model(**given).logits.dtype == dtype
    assert model.half().dtype == torch.float16
    assert model.float().dtype == torch.float32
    assert model.to("meta").device.type == "meta"
    assert model.lm_head.weight.device.type == "meta"


def test_ties_survive_moves() -> None:
    model = fresh("gpt2", "LMHeadModel").ours
    for moved in (model.to(torch.bfloat16), copy.deepcopy(model), model.to("meta")):
        assert moved.lm_head.weight is moved.transformer.wte.weight
    model = fresh("bart", "ForConditionalGeneration").ours.to("meta")
    assert model.lm_head.weight is model.model.shared.weight
    assert model.model.shared.weight is model.model.decoder.embed_tokens.weight
    model = fresh("gpt2", "LMHeadModel").ours
    model.lm_head = torch.nn.Linear(32, 7)
    assert model.to("meta").lm_head.out_features == 7


def test_memory_footprint() -> None:
    both = pair("bert", "ForMaskedLM")
    assert both.ours.get_memory_footprint() == 4 * both.ours.num_parameters()


@pytest.mark.parametrize("count", [VOCAB + 9, VOCAB - 5])
@pytest.mark.parametrize("case", [case for case in LANGUAGE if case[2] in (
    "base", "untied", "tied", "two_vocabularies")], ids=ids)
def test_resize_token_embeddings(case: tuple[str, str, str], count: int) -> None:
    both = fresh(*case)
    table = both.ours.resize_token_embeddings(count)
    theirs = both.theirs
    if case[2] == "two_vocabularies":
        theirs.resize_token_embeddings(count)
        theirs.resize_decoder_token_embeddings(count)
    else:
        theirs.resize_token_embeddings(count, mean_resizing=False)
    assert table.weight.shape == (count, 32) and both.ours.config.vocab_size == count
    reference = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    for name, tensor in both.ours.state_dict().items():
        assert tensor.shape == reference[name], name
    given = both.inputs()
    kept = min(count, VOCAB)
    for name in ("input_ids", "decoder_input_ids"):
        if name in given:
            given[name] = given[name].clamp_max(39 if case[2] == "two_vocabularies" else kept - 1)
    with torch.no_grad():
        kept = min(kept, 40) if case[2] == "two_vocabularies" else kept
        before = pair(*case).ours(**given).logits[..., :kept]
        close(both.ours(**given).logits[..., :kept], before)
    ties = both.ours.config.tie_word_embeddings and case[2] != "two_vocabularies"
    if ties:
        assert both.ours.get_output_embeddings().weight is table.weight


def test_resized_rows_and_multiples() -> None:
    model = fresh("llama", "ForCausalLM").ours
    old = model.get_input_embeddings().weight.detach().clone()
    assert model.resize_token_embeddings(50, pad_to_multiple_of=16).num_embeddings == 64
    new = model.get_input_embeddings().weight
    assert torch.equal(new[:VOCAB], old)
    close(new[VOCAB:], old.mean(0).expand(16, -1))
    assert model.lm_head.out_features == 64
    assert model.resize_token_embeddings(pad_to_multiple_of=64).num_embeddings == 64
    model.resize_token_embeddings(70, mean_resizing=False)
    drawn = model.get_input_embeddings().weight[64:]
    assert 0.01 < float(drawn.std()) < 0.03
    with pytest.raises(InputError, match="got 0 tokens, expected at least 1"):
        model.resize_token_embeddings(0)


def test_resized_models_are_saved(tmp_path: Any) -> None:
    model = fresh("bart", "ForConditionalGeneration").ours
    model.resize_token_embeddings(VOCAB + 3)
    model.save_pretrained(tmp_path)
    theirs = transformers.BartForConditionalGeneration.from_pretrained(tmp_path)
    assert theirs.config.vocab_size == VOCAB + 3
    given = {"input_ids": torch.tensor([[5, VOCAB + 2, EOS]])}
    with torch.no_grad():
        close(model(**given).logits, theirs(**given).logits)


def test_input_and_output_embeddings() -> None:
    model = fresh("gpt2", "LMHeadModel").ours
    new = torch.nn.Embedding(60, 32)
    model.set_input_embeddings(new)
    assert model.get_input_embeddings() is new is model.transformer.wte
    assert model.get_output_embeddings().weight is new.weight
    other = torch.nn.Linear(32, 60, bias=False)
    model.set_output_embeddings(other)
    assert model.lm_head is other
    base = pair("gpt2", "Model").ours
    assert base.get_output_embeddings() is None
    with pytest.raises(InputError, match="GPT2Model has no output embeddings to set"):
        base.set_output_embeddings(other)


def test_input_gradients_for_adapters() -> None:
    model = fresh("llama", "ForCausalLM").ours.requires_grad_(False)
    given = pair("llama", "ForCausalLM").inputs()
    assert not model(**given).logits.requires_grad
    model.enable_input_require_grads()
    assert model(**given).logits.requires_grad
    model.disable_input_require_grads()
    assert not model(**given).logits.requires_grad
