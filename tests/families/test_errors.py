"""Every message of config, nn, weights, model and models, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import enfold
from enfold.config import Config
from enfold.nn.build import build
from enfold.nn.cache import Cache
from enfold.nn.norm import norm
from enfold.spec import MLP, Attention, Block, Norm, Rope, Stack, Tokens, positions
from enfold.weights.names import NameTable
from tests.families.pairs import checkpoint, fresh, pair
from tests.families.tiny import TINY, VOCAB

IDS = torch.tensor([[5, 6, 7, 2]])
FULL = torch.ones(1, 4, dtype=torch.long)


def bert(suffix: str = "Model", **given: Any) -> Any:
    return pair("bert", suffix).ours(**given)


def llama(**given: Any) -> Any:
    return pair("llama", "ForCausalLM").ours(**given)


def bart(suffix: str = "ForConditionalGeneration", **given: Any) -> Any:
    return pair("bart", suffix).ours(**given)


def edited(kind: str, **values: Any) -> Any:
    """A bare model of a family's tiny config with other values, on the meta device."""
    with torch.device("meta"):
        return enfold.AutoModel.from_config(enfold.AutoConfig.for_model(
            kind, **TINY[kind].config() | values))


def load(**options: Any) -> Any:
    return enfold.BertModel.from_pretrained(checkpoint("bert", "Model"), **options)


def unpadded(suffix: str, batch: int) -> Any:
    model = fresh("llama", suffix).ours
    model.config.pad_token_id = None
    return model(IDS.expand(batch, -1))


def startless() -> Any:
    model = fresh("bart", "ForConditionalGeneration").ours
    model.config.decoder_start_token_id = None
    return model(IDS, labels=IDS)


def odd_problem() -> Any:
    return fresh("bert", "ForSequenceClassification", problem_type="ranking").ours(
        IDS, labels=torch.tensor([1]))


def one_attention(**fields: Any) -> Any:
    spec = Attention(2, 2, 4, **fields)
    stack = Stack(8, (Block((spec, MLP(8)), Norm()),), Tokens(VOCAB))
    return build(stack).eval()(IDS)


TABLE: dict[str, tuple[Callable[[], Any], str]] = {
    # ---- inputs --------------------------------------------------------------------------------
    "no input": (
        lambda: bert(),
        "give input_ids or inputs_embeds, one of them; got neither"),
    "two inputs": (
        lambda: bert(input_ids=IDS, inputs_embeds=torch.ones(1, 4, 32)),
        "give input_ids or inputs_embeds, one of them; got both"),
    "unknown argument": (
        lambda: llama(input_ids=IDS, atention_mask=FULL),
        "LlamaForCausalLM.forward: unknown argument 'atention_mask' (nearest: 'attention_mask', "
        "'encoder_attention_mask', 'output_attentions')"),
    "unknown target": (
        lambda: bert(input_ids=IDS, labels=IDS),
        "BertModel.forward: unknown argument 'labels'. Expected one of: attention_mask, "
        "cache_position, encoder_attention_mask, encoder_hidden_states, input_ids, "
        "inputs_embeds, logits_to_keep, num_items_in_batch, output_attentions, "
        "output_hidden_states, past_key_values, position_ids, return_dict, token_type_ids, "
        "use_cache"),
    "id outside of the vocabulary": (
        lambda: llama(input_ids=IDS + 60),
        "input_ids hold 65, expected 0 to 47 (the model's vocabulary). Do: use the tokenizer of "
        "this model, or model.resize_token_embeddings(len(tokenizer))"),
    "text too long": (
        lambda: bert(input_ids=torch.full((1, 60), 5)),
        "the text has 60 tokens, expected at most 48 (the model's positions). Do: "
        "tokenizer(..., truncation=True, max_length=48)"),
    "text too long for roberta": (
        lambda: pair("roberta", "Model").ours(torch.full((1, 60), 5)),
        "the text has 60 tokens, expected at most 46 (the model's positions). Do: "
        "tokenizer(..., truncation=True, max_length=46)"),
    "text too long for bart": (
        lambda: bart(input_ids=torch.full((1, 60), 5)),
        "the text has 60 tokens, expected at most 48 (the model's positions). Do: "
        "tokenizer(..., truncation=True, max_length=48)"),
    "text too long for marian": (
        lambda: pair("marian", "MTModel").ours(torch.full((1, 60), 5), labels=IDS),
        "the text has 60 tokens, expected at most 48 (the model's positions). Do: "
        "tokenizer(..., truncation=True)"),
    "mask of three dimensions": (
        lambda: llama(input_ids=IDS, attention_mask=torch.ones(1, 4, 4)),
        "attention_mask has shape (1, 4, 4), expected [batch, length] or [batch, heads, "
        "queries, keys]"),
    "mask too short": (
        lambda: llama(input_ids=IDS, attention_mask=FULL[:, :3]),
        "attention_mask has shape (1, 3), expected (1, 4). Do: pass on the tokenizer's"),
    "labels of another length": (
        lambda: llama(input_ids=IDS, labels=IDS[:, :2]),
        "labels have shape (1, 2), expected (1, 4) (one per token). Do: pad labels with -100 to "
        "the length of input_ids"),
    "labels of another length, tokens": (
        lambda: bert("ForTokenClassification", input_ids=IDS, labels=IDS[:, :2]),
        "labels have shape (1, 2), expected (1, 4) (one per token). Do: pad labels with -100 to "
        "the length of input_ids"),
    "label rows for single labels": (
        lambda: bert("ForSequenceClassification", input_ids=IDS, labels=torch.ones(
            1, 3, dtype=torch.long)),
        "labels have shape (1, 3), expected [1] class indices. Do: set "
        "config.problem_type='multi_label_classification' for rows of 0 and 1"),
    "unknown problem_type": (
        odd_problem,
        "config.problem_type is 'ranking', expected 'regression', 'single_label_classification' "
        "or 'multi_label_classification'"),
    "no pad token": (
        lambda: unpadded("ForSequenceClassification", 2),
        "texts are classified by their last token, but config.pad_token_id is not set, so the "
        "last token of 2 texts of different lengths can't be told. Do: "
        "model.config.pad_token_id = tokenizer.pad_token_id"),
    "no end token": (
        lambda: bart("ForSequenceClassification", input_ids=IDS + 1),
        "each text needs the same number of end tokens (id 2), got [0]. Do: use the tokenizer "
        "of this model, which ends each text with one"),
    "end token from embeddings": (
        lambda: bart("ForSequenceClassification", inputs_embeds=torch.ones(1, 4, 32),
                     decoder_inputs_embeds=torch.ones(1, 4, 32)),
        "texts are classified by their end token, which needs input_ids. Do: pass input_ids"),
    "no decoder input": (
        lambda: pair("t5", "Model").ours(IDS),
        "T5Model got no decoder input. Do: give decoder_input_ids (to begin a text: one column "
        "of config.decoder_start_token_id), or labels, or use generate()"),
    "no encoder input": (
        lambda: bart(decoder_input_ids=IDS),
        "give input_ids, inputs_embeds or encoder_outputs, one of them; got none"),
    "two encoder inputs": (
        lambda: bart(input_ids=IDS, inputs_embeds=torch.ones(1, 4, 32), decoder_input_ids=IDS),
        "give input_ids, inputs_embeds or encoder_outputs, one of them; got both input_ids and "
        "inputs_embeds"),
    "no start token": (
        startless,
        "config.decoder_start_token_id is not set, so labels can't be shifted right. Do: set it "
        "(for most models the pad or bos token), or give decoder_input_ids"),
    "foreign cache": (
        lambda: llama(input_ids=IDS, past_key_values=7),
        "past_key_values is of type int, expected a Cache or a tuple of (key, value). Do: pass "
        "on what the model returned, or enfold.DynamicCache()"),
    "empty cache": (
        lambda: Cache(2)[1],
        "layer 1 of the cache is empty"),
    "no cross-attention": (
        lambda: bert(input_ids=IDS, encoder_hidden_states=torch.ones(1, 4, 32)),
        "BertModel got encoder_hidden_states, but it has no cross-attention. Do: leave them "
        "out, or build it with add_cross_attention=True"),
    "absent field": (
        lambda: llama(input_ids=IDS).logit,
        "CausalLMOutputWithCrossAttentions has no field 'logit'; it has logits, past_key_values"),
    "generate without a head": (
        lambda: pair("bert", "Model").ours.generate(IDS),
        "BertModel has no language-modelling head, so it can't generate. Do: load the "
        "checkpoint with AutoModelForCausalLM or AutoModelForSeq2SeqLM"),
    # ---- configs -------------------------------------------------------------------------------
    "unknown activation": (
        lambda: edited("bert", hidden_act="gelo"),
        "unknown activation 'gelo' (nearest: 'gelu'). Expected one of: gelu, gelu_python, "
        "gelu_new, gelu_fast, gelu_pytorch_tanh, gelu_accurate, quick_gelu, relu, relu2, relu6, "
        "silu, swish, mish, tanh, sigmoid, leaky_relu, linear"),
    "unknown rope": (
        lambda: edited("llama", rope_parameters={"rope_type": "spiral"}),
        "unknown rope_type 'spiral'. Expected one of: default, linear, dynamic, llama3, yarn, "
        "longrope"),
    "two thetas": (
        lambda: edited("llama", rope_theta=3.0, rope_parameters={"rope_theta": 4.0}),
        "rope_theta is 3.0 but rope_parameters says 4.0. Do: remove one of them"),
    "relative positions": (
        lambda: edited("bert", position_embedding_type="relative_key"),
        "position_embedding_type 'relative_key' of BERT is not built; only 'absolute' is"),
    "gpt2 with cross-attention": (
        lambda: edited("gpt2", add_cross_attention=True),
        "GPT-2 with cross-attention (add_cross_attention=True) is not built. Do: use an "
        "encoder-decoder family such as bart or t5"),
    "labels and their number": (
        lambda: enfold.BertConfig(num_labels=3, id2label={0: "a", 1: "b"}),
        "num_labels=3 but id2label names 2 labels. Do: give one of them, or make them agree"),
    "not an object": (
        lambda: Config.from_dict([1]),  # type: ignore[arg-type]
        "config.json holds a list, expected an object. Do: check that it is a model's "
        "configuration"),
    "auto config made directly": (
        lambda: enfold.AutoConfig(),
        "AutoConfig is not made directly. Do: AutoConfig.from_pretrained(name) or "
        "for_model(type)"),
    "auto model made directly": (
        lambda: enfold.AutoModelForCausalLM(),
        "AutoModelForCausalLM is not made directly. Do: "
        "AutoModelForCausalLM.from_pretrained(name) or from_config(config)"),
    "compat": (
        lambda: enfold.set_compat(3),
        "set_compat: got '3', expected '4' or '5'"),
    "unlearned positions": (
        lambda: positions(Stack(8, (), Tokens(4)), offset=2),
        "the stack has None, not learned positions"),
    # ---- loading and saving --------------------------------------------------------------------
    "two dtypes": (
        lambda: load(dtype=torch.float32, torch_dtype=torch.float16),
        "from_pretrained: dtype=torch.float32 and torch_dtype=torch.float16 differ. Do: give "
        "one of them"),
    "integer dtype": (
        lambda: load(dtype="int8"),
        "dtype is 'int8', expected 'auto', 'float32', 'bfloat16', 'float16' or a floating torch "
        "dtype"),
    "misspelt dtype": (
        lambda: load(dtype="float17"),
        "dtype is 'float17', expected 'auto', 'float32', 'bfloat16', 'float16' or a floating "
        "torch dtype"),
    "remote code": (
        lambda: load(trust_remote_code=True),
        "trust_remote_code=True: enfold runs no code of a checkpoint. Do: leave it out; an "
        "unknown model_type raises by itself"),
    "misspelt device": (
        lambda: load(device_map="gpu"),
        "device_map is 'gpu', expected 'auto', 'cpu', 'cuda', 'cuda:1' or a torch.device"),
    "no gpu": (
        lambda: load(device_map="cuda"),
        "device_map is 'cuda', but torch sees no GPU. Do: use 'cpu', or leave it out"),
    "unknown option": (
        lambda: load(num_label=3),
        "BertModel.from_pretrained: unknown argument 'num_label' (nearest: 'num_labels')"),
    "several names": (
        lambda: enfold.AutoModel.from_pretrained("a", "b"),
        "AutoModel.from_pretrained takes one positional argument, the name or path"),
    "no family": (
        lambda: enfold.PreTrainedModel.from_pretrained(checkpoint("bert", "Model")),
        "PreTrainedModel is no model of a family. Do: use AutoModel, or a class such as "
        "BertModel"),
    "attention kernel": (
        lambda: load(attn_implementation="flash_attention_2"),
        "attn_implementation is 'flash_attention_2', expected 'sdpa' or 'eager'. Do: use "
        "'sdpa', which runs flash attention where the device has it"),
    "upload options": (
        lambda: pair("bert", "Model").ours.save_pretrained("x", private=True),
        "save_pretrained: private only matter with push_to_hub=True. Do: leave it out, or "
        "push_to_hub=True"),
    "positional state_dict": (
        lambda: pair("bert", "Model").ours.state_dict({}),
        "state_dict takes keyword arguments: destination, prefix, keep_vars"),
    "incomplete state": (
        lambda: pair("llama", "ForCausalLM").ours.save_pretrained("x", state_dict={}),
        "save_pretrained: state_dict lacks 'model.embed_tokens.weight', "
        "'model.layers.0.input_layernorm.weight', 'model.layers.0.self_attn.q_proj.weight', "
        "'model.layers.0.self_attn.k_proj.weight', 'model.layers.0.self_attn.v_proj.weight', "
        "'model.layers.0.self_attn.o_proj.weight'. Do: give the whole state of the model, or "
        "leave state_dict out"),
    # ---- specs, which only a page can get wrong --------------------------------------------------
    "norm": (
        lambda: norm(Norm("batch"), 4),
        "no norm of kind 'batch'; there are 'rms' and 'layer'"),
    "fused layout": (
        lambda: one_attention(fused="sideways"),
        "no fused layout 'sideways'; there are 'concat', 'per_head' and 'per_group'"),
    "rope scaling": (
        lambda: one_attention(rope=Rope(scaling=3)),  # type: ignore[arg-type]
        "no rope scaling 3"),
    "a name twice": (
        lambda: NameTable({"{a,a}": "{b,c}"}),
        "names: 'a' stands twice"),
    "two names the same": (
        lambda: NameTable({"a": "c", "b": "c"}),
        "names: 'b' and 'a' are both 'c'"),
}


@pytest.mark.parametrize("name", TABLE)
def test_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    call, message = TABLE[name]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the message is what is tested
        call()
    assert str(caught.value) == message

