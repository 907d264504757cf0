"""GPT-2 (Radford et al. 2019): learned positions, pre-LayerNorm, fused qkv stored transposed.

GPT-BigCode (StarCoder, https://arxiv.org/abs/2301.03988): one key-value head,
plain linears.
"""

from __future__ import annotations

from enfold.config import Config
from enfold.models.common import SPAN
from enfold.models.registry import Arch, family
from enfold.spec import (
    MLP,
    Attention,
    Base,
    Block,
    CausalLM,
    DoubleHeads,
    Learned,
    Norm,
    SequenceClassifier,
    Span,
    Stack,
    TokenClassifier,
    Tokens,
)
from enfold.weights.names import Names, T, Theirs, scope


def spec(c: Config) -> Stack:
    """GPT-2's stack; the scale of attention may depend on the layer."""
    dim, multi_query = c.n_embd // c.n_head, c.get("multi_query", False)
    scale = dim**-0.5 if c.scale_attn_weights else 1.0
    by_layer = c.get("scale_attn_by_inverse_layer_idx", False)
    norm = Norm("layer", c.layer_norm_epsilon)

    def block(layer: int) -> Block:
        attn = Attention(c.n_head, 1 if multi_query else c.n_head, dim, bias="qkvo",
                         fused=layout(c), scale=scale / (layer + 1) if by_layer else scale,
                         dropout=c.attn_pdrop, drop_out=c.resid_pdrop,
                         upcast=c.get("attention_softmax_in_fp32")
                         or c.get("reorder_and_upcast_attn", False))
        mlp = MLP(c.get("n_inner") or 4 * c.n_embd, c.activation_function, gated=False, bias=True,
                  drop_out=c.resid_pdrop)
        return Block((attn, mlp), norm)

    embed = Tokens(c.vocab_size, Learned(c.n_positions), shared_types=True, dropout=c.embd_pdrop)
    return Stack(c.n_embd, tuple(block(layer) for layer in range(c.n_layer)), embed, norm)


def layout(c: Config) -> str:
    """How the joint projection is laid out: BigCode with many key-value heads goes head by head."""
    by_head = c.get("multi_query") is False and c.model_type == "gpt_bigcode"
    return "per_head" if by_head else "concat"


def names(*, transposed: bool) -> Names:
    """The names; GPT-2's linears store their weight transposed."""
    def linear(name: str) -> Theirs:
        return T(name) if transposed else name

    layer: dict[str, Theirs] = {
        "attn.norm": "ln_1", "attn.qkv": linear("attn.c_attn"), "attn.o": linear("attn.c_proj"),
        "mlp.norm": "ln_2", "mlp.up": linear("mlp.c_fc"), "mlp.down": linear("mlp.c_proj")}
    return {"embed.token": "wte", "embed.position": "wpe", **scope("layers.*", "h.*", layer),
            "norm": "ln_f"}


def std(c: Config, name: str) -> float:
    """Projections back to the residual stream start smaller, by the number of additions to it."""
    residual = name.endswith((".o.weight", ".down.weight"))
    return float(c.initializer_range / (2 * c.n_layer) ** 0.5 if residual else c.initializer_range)


def dropout(c: Config) -> TokenClassifier:
    """The token classifier's dropout, under either of its names."""
    value = c.get("classifier_dropout")
    return TokenClassifier(c.get("hidden_dropout", 0.1) if value is None else value)


def check(c: Config) -> None:
    """What GPT-2 configs may ask for that is not built."""
    if c.add_cross_attention:
        raise NotImplementedError("GPT-2 with cross-attention (add_cross_attention=True) is not "
                                  "built. "
                                  "Do: use an encoder-decoder family such as bart or t5")


LM = {"out": "lm_head"}
BIGCODE = {
    "Model": Arch(Base()),
    "ForCausalLM": Arch(CausalLM(), LM),
    "ForSequenceClassification": Arch(SequenceClassifier("last", bias=False), {"out": "score"}),
    "ForTokenClassification": Arch(dropout, {"out": "classifier"}),
}
HEADS = {("LMHeadModel" if suffix == "ForCausalLM" else suffix): arch
         for suffix, arch in BIGCODE.items()} | {
    "ForQuestionAnswering": Arch(Span(), SPAN),
    "DoubleHeadsModel": Arch(lambda c: DoubleHeads(dropout=c.summary_first_dropout,
                                                   act=c.summary_activation or ""),
                             LM | {"choice": "multiple_choice_head.summary"}),
}
COMMON = {
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
    "n_inner": None, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5, "initializer_range": 0.02, "scale_attn_weights": True,
    "bos_token_id": 50256, "eos_token_id": 50256,
}  # fmt: skip
DEFAULTS = COMMON | {
    "activation_function": "gelu_new", "summary_type": "cls_index", "summary_use_proj": True,
    "summary_activation": None, "summary_proj_to_labels": True, "summary_first_dropout": 0.1,
    "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
}  # fmt: skip
BIGCODE_DEFAULTS = COMMON | {"activation_function": "gelu_pytorch_tanh",
                             "attention_softmax_in_fp32": True,
                             "scale_attention_softmax_in_fp32": True, "multi_query": True}
BIGCODE_DERIVED = {"num_key_value_heads": lambda c: 1 if c.multi_query else c.n_head}
SYNONYMS = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions",
            "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"}
DROP = ("*.attn.bias", "*.attn.masked_bias", "h.*.attn.bias")  # masks that old files carry

family("gpt2", spec, names(transposed=True), HEADS, "transformer", defaults=DEFAULTS,
       synonyms=SYNONYMS, drop=DROP, std=std, check=check)
family("gpt_bigcode", spec, names(transposed=False), BIGCODE, "transformer",
       defaults=BIGCODE_DEFAULTS, derived=BIGCODE_DERIVED, synonyms=SYNONYMS, drop=DROP, std=std,
       check=check)
