"""Qwen's mixtures of experts.

Qwen2-MoE (https://arxiv.org/abs/2407.10671) has, beside the experts of a token, one feed-forward
for all with a gate; Qwen3-MoE (https://arxiv.org/abs/2505.09388) has norms on queries and keys
instead.  Some layers may be dense in either.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from enfold.config import Config
from enfold.models.common import ROPE, SPAN, decoder_heads
from enfold.models.llama import COMMON, DERIVED, DROP, windows
from enfold.models.llama import spec as llama
from enfold.models.registry import Arch, family
from enfold.spec import MLP, Base, Block, MoE, Norm, Router, Span, Stack, attention
from enfold.weights.names import Names, scope
from enfold.weights.pieces import Pieces


def qwen2(c: Config) -> Stack:
    """Llama's with biases, experts, and a feed-forward that all tokens share."""
    stack = attention(llama(c), bias="qkv" if c.qkv_bias else "")
    return sparse(windows(stack, c), c, MLP(c.shared_expert_intermediate_size, c.hidden_act))


def qwen3(c: Config) -> Stack:
    """Llama's with norms on queries and keys, and experts."""
    window = c.sliding_window if c.use_sliding_window else None
    return sparse(attention(llama(c), qk_norm=Norm(eps=c.rms_norm_eps), window=window), c)


def sparse(stack: Stack, c: Config, shared: MLP | None = None) -> Stack:
    """`stack` with experts in every `decoder_sparse_step`-th layer but the `mlp_only_layers`."""
    router = Router(c.num_experts, c.num_experts_per_tok, renorm=c.norm_topk_prob)
    moe = MoE(router, MLP(c.moe_intermediate_size, c.hidden_act), shared)

    def layer(number: int, block: Block) -> Block:
        step = (number + 1) % c.decoder_sparse_step
        if step or not c.num_experts or number in (c.mlp_only_layers or ()):
            return block
        return replace(block, branches=tuple(moe if isinstance(branch, MLP) else branch
                                             for branch in block.branches))

    return replace(stack, blocks=tuple(layer(i, block) for i, block in enumerate(stack.blocks)))


def layer_types(c: Config) -> list[str]:
    """Which layers of Qwen2-MoE have a window: every other one below `max_window_layers`."""
    return ["sliding_attention" if c.use_sliding_window and layer % 2 == 0
            and layer < c.max_window_layers else "full_attention"
            for layer in range(c.num_hidden_layers)]


def pieces(c: Config, *, layers: bool = True) -> tuple[Pieces, ...]:
    """Files hold experts one by one; the router was a linear layer once."""
    up, down = ("mlp.experts.*.gate_proj.weight", "mlp.experts.*.up_proj.weight"), (
        "mlp.experts.*.down_proj.weight",)
    return (Pieces("mlp.gate.weight", 0, ("mlp.gate.weight",), layers),
            Pieces("mlp.experts.gate_up_proj", c.num_experts, up, layers),
            Pieces("mlp.experts.down_proj", c.num_experts, down, layers))


PROJ = "{gate_proj,up_proj,down_proj}"
ATTENTION = {"attn.{q,k,v,o}": "self_attn.{q_proj,k_proj,v_proj,o_proj}"}
DENSE = {"mlp.{gate,up,down}": f"mlp.{PROJ}"}
NORMS = {"attn.norm": "input_layernorm", "mlp.norm": "post_attention_layernorm"}
QWEN2 = ATTENTION | {
    "mlp.{router,experts}": "mlp.{gate,experts}",
    "mlp.shared.{gate,up,down}": f"mlp.shared_expert.{PROJ}",
    "mlp.shared_gate": "mlp.shared_expert_gate"} | DENSE | NORMS
QWEN3 = ATTENTION | {
    "attn.{q_norm,k_norm}": "self_attn.{q_norm,k_norm}",
    "mlp.{experts,router}": "mlp.{experts,gate}"} | DENSE | NORMS
HEADS = {"Model": Arch(Base())} | decoder_heads()
SHARED = COMMON | {
    "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 24,
    "max_position_embeddings": 32768, "bos_token_id": None, "eos_token_id": None,
    "use_sliding_window": False, "sliding_window": 4096, "decoder_sparse_step": 1,
    "norm_topk_prob": False, "output_router_logits": False, "router_aux_loss_coef": 0.001,
    "mlp_only_layers": [],
}  # fmt: skip
del SHARED["head_dim"]  # which files may have, but not as null
DEFAULTS2 = SHARED | {
    "intermediate_size": 5632, "num_attention_heads": 16, "num_key_value_heads": 16,
    "max_window_layers": 28, "moe_intermediate_size": 1408, "num_experts": 60,
    "shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4, "qkv_bias": True,
}  # fmt: skip
DEFAULTS3 = SHARED | {
    "intermediate_size": 6144, "num_attention_heads": 32, "num_key_value_heads": 4,
    "attention_bias": False, "moe_intermediate_size": 768, "num_experts_per_tok": 8,
}  # fmt: skip
WIDTH = {"head_dim": DERIVED["head_dim"]}
COUNTS = {"num_experts": lambda c: c.raw("num_local_experts") or 128,  # whichever a file has
          "num_local_experts": lambda c: c.raw("num_experts") or 128}


def names(layer: dict[str, str]) -> Names:
    """The whole model's."""
    return {"embed.token": "embed_tokens"} | scope("layers.*", "layers.*", layer) | {"norm": "norm"}


family("qwen2_moe", qwen2, names(QWEN2), HEADS | {"ForQuestionAnswering": Arch(Span(), SPAN)},
       "model", defaults=DEFAULTS2, derived=ROPE | WIDTH | {"layer_types": layer_types}, drop=DROP,
       pieces=partial(pieces, layers=False))  # its shared experts are layers of these names
family("qwen3_moe", qwen3, names(QWEN3), HEADS, "model", defaults=DEFAULTS3,
       derived=ROPE | WIDTH | COUNTS, drop=DROP, pieces=pieces)
