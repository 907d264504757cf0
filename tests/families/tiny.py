"""One line per family: a tiny config, and variants of it that change what the architecture does.

Every test here runs over this table and the registry: a family is tested by having a line.
`lm` is the head that variants are tested with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VOCAB = 48
PAD, BOS, EOS = 1, 3, 2  # of all tiny models; texts are made of the ids from 4 on
TOKENS = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "vocab_size": VOCAB}
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@dataclass(frozen=True)
class Tiny:
    """A family's tiny config, the suffix of its language model, its variants by name."""

    base: dict[str, Any]
    lm: str = "ForCausalLM"
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropouts: tuple[str, ...] = ()

    def config(self, variant: str = "base") -> dict[str, Any]:
        """The values of a variant, without dropout."""
        chosen = {} if variant == "base" else self.variants[variant]
        return TOKENS | self.base | dict.fromkeys(self.dropouts, 0.0) | chosen


ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
           "intermediate_size": 40, "max_position_embeddings": 48, "type_vocab_size": 3,
           "num_labels": 3}
ENCODER_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
DECODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
           "num_key_value_heads": 2, "intermediate_size": 40, "max_position_embeddings": 48,
           "num_labels": 3, "rms_norm_eps": 1e-5}
QWEN_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
DECODER_DROPOUTS = ("attention_dropout", "classifier_dropout")
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48, "num_labels": 3}
GPT_DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "summary_first_dropout",
                "classifier_dropout")
SEQ2SEQ = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
           "decoder_attention_heads": 2, "encoder_ffn_dim": 40, "decoder_ffn_dim": 36,
           "max_position_embeddings": 48, "decoder_start_token_id": EOS,
           "forced_eos_token_id": None, "num_labels": 3}
SEQ2SEQ_DROPOUTS = ("dropout", "attention_dropout", "activation_dropout")
T5 = {"d_model": 32, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3,
      "num_heads": 4, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 20,
      "decoder_start_token_id": PAD, "num_labels": 3}


def rope(kind: str, **values: Any) -> dict[str, Any]:
    """A rope scaling, in the newer spelling."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 500.0, **values}}


ROPES = {
    "theta": rope("default"),
    "linear": rope("linear", factor=2.5),
    "dynamic": {**rope("dynamic", factor=2.0), "max_position_embeddings": 6},
    "llama3": rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=2.0,
                   original_max_position_embeddings=8),
    "yarn": rope("yarn", factor=4.0, original_max_position_embeddings=8),
    "longrope": {**rope("longrope", factor=2.0, original_max_position_embeddings=6,
                        short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.5, 2.0, 3.0, 4.0])},
}

TINY = {
    "bert": Tiny(ENCODER, "ForMaskedLM", {
        "decoder": {"is_decoder": True}, "relu": {"hidden_act": "relu", "layer_norm_eps": 1e-3},
        "untied": {"tie_word_embeddings": False},
    }, (*ENCODER_DROPOUTS, "classifier_dropout")),
    "roberta": Tiny(ENCODER, "ForMaskedLM", {
        "decoder": {"is_decoder": True}, "untied": {"tie_word_embeddings": False},
    }, (*ENCODER_DROPOUTS, "classifier_dropout")),
    "distilbert": Tiny(
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40, "max_position_embeddings": 48,
         "num_labels": 3}, "ForMaskedLM",
        {"relu": {"activation": "relu"}, "untied": {"tie_word_embeddings": False}},
        ("dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout")),
    "gpt2": Tiny(GPT, "LMHeadModel", {
        "by_layer": {"scale_attn_by_inverse_layer_idx": True}, "inner": {"n_inner": 24},
        "unscaled": {"scale_attn_weights": False}, "untied": {"tie_word_embeddings": False},
        "upcast": {"reorder_and_upcast_attn": True},
    }, GPT_DROPOUTS),
    "gpt_bigcode": Tiny(GPT, "ForCausalLM", {
        "many_heads": {"multi_query": False}, "untied": {"tie_word_embeddings": False},
    }, GPT_DROPOUTS),
    "llama": Tiny(DECODER, "ForCausalLM", {
        "many_heads": {"num_key_value_heads": 4}, "one_head": {"num_key_value_heads": 1},
        "biases": {"attention_bias": True, "mlp_bias": True}, "tied": {"tie_word_embeddings": True},
        "wide": {"head_dim": 12}, **ROPES,
    }, DECODER_DROPOUTS),
    "mistral": Tiny(DECODER | {"sliding_window": 4}, "ForCausalLM", {
        "no_window": {"sliding_window": None}, "wide": {"head_dim": 12},
    }, DECODER_DROPOUTS),
    "mixtral": Tiny(DECODER | {"num_local_experts": 4}, "ForCausalLM", {
        "window": {"sliding_window": 4, "num_local_experts": 3, "num_experts_per_tok": 1},
        "balanced": {"output_router_logits": True, "router_aux_loss_coef": 0.5},
    }, DECODER_DROPOUTS),
    "qwen2": Tiny(DECODER, "ForCausalLM", {
        "sliding": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
        "tied": {"tie_word_embeddings": True},
    }, DECODER_DROPOUTS),
    "qwen2_moe": Tiny(DECODER | QWEN_MOE | {"shared_expert_intermediate_size": 28}, "ForCausalLM", {
        "dense": {"mlp_only_layers": [0], "norm_topk_prob": True, "qkv_bias": False,
                  "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    }, DECODER_DROPOUTS),
    "qwen3_moe": Tiny(DECODER | QWEN_MOE, "ForCausalLM", {
        "dense": {"decoder_sparse_step": 2, "norm_topk_prob": True, "attention_bias": True,
                  "head_dim": 12, "use_sliding_window": True, "sliding_window": 4},
    }, DECODER_DROPOUTS),
    "marian": Tiny(SEQ2SEQ, "MTModel", {
        "two_vocabularies": {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 40},
        "scaled": {"scale_embedding": True, "activation_function": "swish"},
    }, SEQ2SEQ_DROPOUTS),
    "bart": Tiny(SEQ2SEQ, "ForConditionalGeneration", {
        "scaled": {"scale_embedding": True, "activation_function": "relu"},
    }, (*SEQ2SEQ_DROPOUTS, "classifier_dropout")),
    "t5": Tiny(T5, "ForConditionalGeneration", {
        "gated": {"feed_forward_proj": "gated-gelu"}, "silu": {"feed_forward_proj": "gated-silu"},
        "unscaled": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    }, ("dropout_rate", "classifier_dropout")),
}
