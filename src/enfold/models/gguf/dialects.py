"""What GGUF calls the parts of an architecture: its metadata keys and its tensors, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enfold.errors import CheckpointError
from enfold.weights.names import Names, NameTable, Theirs, expand, scope


@dataclass(frozen=True, slots=True)
class Dialect:
    """One architecture.

    keys: metadata key (without the architecture's name) -> key of config.json.  names: our modules
    -> tensors.  pairs: our projections whose rows GGUF keeps in the order in which llama.cpp turns
    them, neighbours together; value: the config key of their heads.  fixed: values of config.json
    that GGUF has no key for.  known: further keys that are read elsewhere or change nothing.
    """

    architecture: str
    model_type: str
    suffix: str
    keys: Mapping[str, str]
    names: Names
    pairs: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    def table(self) -> NameTable:
        """Our names <-> GGUF's."""
        return NameTable(expand(self.names))


ROPE_KEYS = ("rope.freq_base", "rope.dimension_count", "rope.scale_linear", "rope.scaling.type",
             "rope.scaling.factor", "rope.scaling.original_context_length",
             "rope.scaling.finetuned", "rope.scaling.attn_factor",
             "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast",
             "rope.scaling.yarn_beta_slow")
SIZES = {"context_length": "max_position_embeddings", "embedding_length": "hidden_size",
         "block_count": "num_hidden_layers", "feed_forward_length": "intermediate_size",
         "attention.head_count": "num_attention_heads"}
LLAMA_KEYS = SIZES | {"attention.head_count_kv": "num_key_value_heads",
                      "attention.layer_norm_rms_epsilon": "rms_norm_eps"}
LAYER: Names = {"attn.norm": "attn_norm", "attn.{q,k,v,o}": "{attn_q,attn_k,attn_v,attn_output}",
                "mlp.norm": "ffn_norm", "mlp.{gate,up,down}": "{ffn_gate,ffn_up,ffn_down}"}
TOP: dict[str, Theirs] = {"body.embed.token": "token_embd", "body.norm": "output_norm",
                          "head.out": "output"}
LLAMA_NAMES = TOP | scope("body.layers.*", "blk.*", LAYER)
GPT2_LAYER: Names = {"attn.norm": "attn_norm", "attn.qkv": "attn_qkv", "attn.o": "attn_output",
                     "mlp.norm": "ffn_norm", "mlp.{up,down}": "{ffn_up,ffn_down}"}
GPT2_TOP: dict[str, Theirs] = TOP | {"body.embed.position": "position_embd"}
GPT2_NAMES = GPT2_TOP | scope("body.layers.*", "blk.*", GPT2_LAYER)
BERT_LAYER: Names = {"attn.{q,k,v,o}": "{attn_q,attn_k,attn_v,attn_output}",
                     "attn.norm_sum": "attn_output_norm", "mlp.{up,down}": "{ffn_up,ffn_down}",
                     "mlp.norm_sum": "layer_output_norm"}
BERT_TOP: dict[str, Theirs] = {
    "body.embed.{token,position,segment,norm}":
    "{token_embd,position_embd,token_types,token_embd_norm}"}
BERT_NAMES = BERT_TOP | scope("body.layers.*", "blk.*", BERT_LAYER)
LLAMA_KNOWN = (*ROPE_KEYS, "vocab_size", "attention.key_length", "attention.value_length",
               "attention.sliding_window", "expert_count")
GPT2_KEYS = {"context_length": "n_positions", "embedding_length": "n_embd",
             "block_count": "n_layer", "feed_forward_length": "n_inner",
             "attention.head_count": "n_head", "attention.layer_norm_epsilon": "layer_norm_epsilon"}

DIALECTS: dict[str, Dialect] = {
    "llama": Dialect("llama", "llama", "ForCausalLM", LLAMA_KEYS, LLAMA_NAMES,
                     pairs={"attn.q": "num_attention_heads", "attn.k": "num_key_value_heads"},
                     fixed={"hidden_act": "silu"}, known=LLAMA_KNOWN),
    "qwen2": Dialect("qwen2", "qwen2", "ForCausalLM", LLAMA_KEYS, LLAMA_NAMES,
                     fixed={"hidden_act": "silu", "use_sliding_window": False},
                     known=(*LLAMA_KNOWN, "pooling_type")),
    "gpt2": Dialect("gpt2", "gpt2", "LMHeadModel", GPT2_KEYS, GPT2_NAMES,
                    fixed={"activation_function": "gelu_new"},
                    known=("vocab_size", "attention.head_count_kv", "rope.dimension_count")),
    "bert": Dialect("bert", "bert", "Model",
                    SIZES | {"attention.layer_norm_epsilon": "layer_norm_eps"}, BERT_NAMES,
                    fixed={"hidden_act": "gelu"},
                    known=("vocab_size", "attention.causal", "pooling_type",
                           "attention.head_count_kv")),
}
WRITTEN = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "gpt2": "gpt2"}


def dialect_of(metadata: Mapping[str, Any], path: object) -> Dialect:
    """The dialect of a file."""
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        raise CheckpointError(f"{path}: no general.architecture. Expected a model's GGUF file. Do: "
                              "convert the model again")
    if name not in DIALECTS:
        raise NotImplementedError(f"{path}: GGUF architecture {name!r} is not built. Expected one "
                                  f"of {', '.join(DIALECTS)}. Do: give the model's own folder")
    return DIALECTS[name]


def dialect_for(model_type: str) -> Dialect:
    """The dialect that a family is written in."""
    if model_type not in WRITTEN:
        raise NotImplementedError(f"a {model_type!r} model can't be written as GGUF. Expected one "
                                  f"of {', '.join(WRITTEN)}. Do: keep it in safetensors")
    return DIALECTS[WRITTEN[model_type]]
