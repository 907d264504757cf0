"""Llama (https://arxiv.org/abs/2302.13971): pre-norm RMS, rotary positions, a gated MLP.

Mistral adds a sliding window (https://arxiv.org/abs/2310.06825), Qwen2 biases on q, k, v
(https://arxiv.org/abs/2407.10671).
"""

from __future__ import annotations

from dataclasses import replace

from enfold.config import Config
from enfold.models.common import ROPE, SPAN, decoder_heads, rope
from enfold.models.registry import Arch, family
from enfold.spec import MLP, Attention, Base, Block, Norm, Span, Stack, Tokens, attention
from enfold.weights.names import scope


def spec(c: Config) -> Stack:
    """Llama's stack."""
    norm, heads = Norm(eps=c.rms_norm_eps), c.num_attention_heads
    bias = "qkvo" if c.get("attention_bias") else ""
    width = c.head_dim or c.hidden_size // heads
    attn = Attention(heads, c.num_key_value_heads, width, bias, rope=rope(c, width),
                     upcast=True, dropout=c.get("attention_dropout", 0.0))
    block = Block((attn, MLP(c.intermediate_size, c.hidden_act, bias=c.get("mlp_bias", False))),
                  norm)
    return Stack(c.hidden_size, (block,) * c.num_hidden_layers,
                 Tokens(c.vocab_size, pad=c.pad_token_id), norm)


def mistral(c: Config) -> Stack:
    """Llama's with a window."""
    return attention(spec(c), window=c.get("sliding_window"))


def qwen2(c: Config) -> Stack:
    """Llama's with biases, and windows on the upper layers if asked for."""
    return windows(attention(spec(c), bias="qkv"), c)


def windows(stack: Stack, c: Config) -> Stack:
    """A window on the layers that `layer_types` names, if Qwen's `use_sliding_window` is on."""
    window = c.get("sliding_window") if c.use_sliding_window else None
    if window is None:
        return stack
    pairs = zip(stack.blocks, attention(stack, window=window).blocks, strict=True)
    blocks = (near if kind == "sliding_attention" else far
              for (far, near), kind in zip(pairs, c.layer_types, strict=True))
    return replace(stack, blocks=tuple(blocks))


def layer_types(c: Config) -> list[str]:
    """Which layers of Qwen2 have a window: the upper ones, if any."""
    first = c.max_window_layers if c.use_sliding_window else c.num_hidden_layers
    return ["sliding_attention" if layer >= first else "full_attention"
            for layer in range(c.num_hidden_layers)]


LAYER = {"attn.{q,k,v,o}": "self_attn.{q_proj,k_proj,v_proj,o_proj}",
         "mlp.{gate,up,down}": "mlp.{gate_proj,up_proj,down_proj}",
         "attn.norm": "input_layernorm", "mlp.norm": "post_attention_layernorm"}
NAMES = {"embed.token": "embed_tokens"} | scope("layers.*", "layers.*", LAYER) | {"norm": "norm"}
HEADS = {"Model": Arch(Base())} | decoder_heads()
COMMON = {
    "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "hidden_act": "silu", "initializer_range": 0.02, "rms_norm_eps": 1e-6, "attention_dropout": 0.0,
    "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "num_key_value_heads": None,
    "head_dim": None,
}  # fmt: skip
DEFAULTS = COMMON | {"intermediate_size": 11008, "max_position_embeddings": 2048,
                     "pretraining_tp": 1, "attention_bias": False, "mlp_bias": False}
MISTRAL = COMMON | {"intermediate_size": 14336, "max_position_embeddings": 131072,
                    "sliding_window": 4096, "num_key_value_heads": 8}
QWEN2 = COMMON | {"vocab_size": 151936, "intermediate_size": 22016, "num_key_value_heads": 32,
                  "max_position_embeddings": 32768, "use_sliding_window": False,
                  "sliding_window": 4096, "max_window_layers": 28, "bos_token_id": None,
                  "eos_token_id": None}
del QWEN2["head_dim"]  # which Qwen2 has not
DERIVED = ROPE | {"num_key_value_heads": lambda c: c.num_attention_heads,
                  "head_dim": lambda c: c.hidden_size // c.num_attention_heads}
DROP = ("*rotary_emb.inv_freq",)

family("llama", spec, NAMES, HEADS, "model", defaults=DEFAULTS, derived=DERIVED,
       drop=DROP)
family("mistral", mistral, NAMES, HEADS | {"ForQuestionAnswering": Arch(Span(), SPAN)}, "model",
       defaults=MISTRAL, derived=ROPE | {"head_dim": DERIVED["head_dim"]}, drop=DROP)
family("qwen2", qwen2, NAMES, HEADS, "model", defaults=QWEN2,
       derived=ROPE | {"head_dim": DERIVED["head_dim"], "layer_types": layer_types}, drop=DROP)
