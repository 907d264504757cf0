"""Mixtral (https://arxiv.org/abs/2401.04088): Mistral with a mixture of experts in each layer."""

from __future__ import annotations

from enfold.config import Config
from enfold.models.common import ROPE, SPAN, decoder_heads
from enfold.models.llama import COMMON, DROP, mistral
from enfold.models.registry import Arch, family
from enfold.spec import MLP, Base, MoE, Router, Span, Stack, each_branch
from enfold.weights.names import scope
from enfold.weights.pieces import Pieces


def spec(c: Config) -> Stack:
    """Mistral's stack with a router and experts in place of each feed-forward."""
    router = Router(c.num_local_experts, c.num_experts_per_tok, jitter=c.router_jitter_noise)
    return each_branch(mistral(c), lambda b: MoE(router, b) if isinstance(b, MLP) else b)


def pieces(c: Config) -> tuple[Pieces, ...]:
    """Files hold experts one by one."""
    count, start = c.num_local_experts, "block_sparse_moe"
    return (Pieces("mlp.gate.weight", 0, (f"{start}.gate.weight",)),
            Pieces("mlp.experts.gate_up_proj", count,
                   (f"{start}.experts.*.w1.weight", f"{start}.experts.*.w3.weight")),
            Pieces("mlp.experts.down_proj", count, (f"{start}.experts.*.w2.weight",)))


LAYER = {"attn.{q,k,v,o}": "self_attn.{q_proj,k_proj,v_proj,o_proj}",
         "mlp.{router,experts}": "mlp.{gate,experts}",
         "attn.norm": "input_layernorm", "mlp.norm": "post_attention_layernorm"}
NAMES = {"embed.token": "embed_tokens"} | scope("layers.*", "layers.*", LAYER) | {"norm": "norm"}
DEFAULTS = COMMON | {
    "intermediate_size": 14336, "num_key_value_heads": 8, "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5, "sliding_window": None, "num_experts_per_tok": 2, "num_local_experts": 8,
    "output_router_logits": False, "router_aux_loss_coef": 0.001, "router_jitter_noise": 0.0,
    "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"},
}  # fmt: skip
HEADS = {"Model": Arch(Base())} | decoder_heads() | {"ForQuestionAnswering": Arch(Span(), SPAN)}

family("mixtral", spec, NAMES, HEADS, "model", defaults=DEFAULTS, derived=ROPE,
       synonyms={"num_experts": "num_local_experts"}, drop=DROP, pieces=pieces)
