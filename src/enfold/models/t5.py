"""T5: encoder-decoder, RMS pre-norm, relative position buckets shared by all layers, unscaled.

https://arxiv.org/abs/1910.10683
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from enfold.config import Config
from enfold.models.common import SPAN
from enfold.models.registry import Arch, family
from enfold.spec import (
    MLP,
    Attention,
    Base,
    Block,
    Buckets,
    EncDec,
    Norm,
    Seq2SeqLM,
    SequenceClassifier,
    Span,
    Stack,
    TokenClassifier,
    Tokens,
)
from enfold.weights.names import Names, Theirs, scope


def feed_forward(c: Config) -> tuple[bool, str]:
    """(gated, activation) of "relu", "gated-gelu" (which means gelu_new), "gated-silu"."""
    act = c.feed_forward_proj.removeprefix("gated-")
    gated = act != c.feed_forward_proj
    return gated, "gelu_new" if gated and act == "gelu" else act


def spec(c: Config) -> EncDec:
    """T5's halves."""
    return EncDec(half(c, c.num_layers, causal=False),
                  half(c, c.num_decoder_layers, causal=True))


def half(c: Config, layers: int, *, causal: bool) -> Stack:
    """One side.  The first block owns the table of relative positions."""
    norm, (gated, act), drop = Norm(eps=c.layer_norm_epsilon), feed_forward(c), c.dropout_rate
    table = Buckets(c.relative_attention_num_buckets, c.relative_attention_max_distance,
                    bidirectional=not causal)
    attn = Attention(c.num_heads, c.num_heads, c.d_kv, scale=1.0, causal=causal, position=table,
                     upcast=True, dropout=drop, drop_out=drop)
    cross = (replace(attn, causal=False, position=None, cross=True),) if causal else ()
    first = Block((attn, *cross, MLP(c.d_ff, act, gated, dropout=drop, drop_out=drop)), norm)
    borrower = replace(attn, position=replace(table, owner=False))
    rest = replace(first, branches=(borrower, *first.branches[1:]))
    return Stack(c.d_model, (first, *(rest,) * (layers - 1)), Tokens(c.vocab_size, dropout=drop),
                 norm, dropout=drop)


def names(c: Config) -> Names:
    """The names; the feed-forward's place in a layer depends on the side."""
    def layer(mlp: int) -> dict[str, Theirs]:
        place = f"layer.{mlp}.DenseReluDense."
        gated, _ = feed_forward(c)
        up, theirs = ("mlp.{gate,up}", "{wi_0,wi_1}") if gated else ("mlp.up", "wi")
        return {up: place + theirs, "mlp.down": place + "wo",
                "mlp.norm": f"layer.{mlp}.layer_norm"}

    return EMBED | scope("encoder.layers.*", "encoder.block.*", ATTN | layer(1)) | scope(
        "decoder.layers.*", "decoder.block.*", ATTN | CROSS | layer(2)) | {
        "{encoder,decoder}.norm": "{encoder,decoder}.final_layer_norm"}


EMBED: dict[str, Theirs] = {"encoder.embed.token": ("shared", "encoder.embed_tokens"),
                            "decoder.embed.token": "decoder.embed_tokens"}
ATTN: dict[str, Theirs] = {
    "attn.{q,k,v,o}": "layer.0.SelfAttention.{q,k,v,o}",
    "attn.position": "layer.0.SelfAttention.relative_attention_bias",
    "attn.norm": "layer.0.layer_norm"}
CROSS = {"cross.{q,k,v,o}": "layer.1.EncDecAttention.{q,k,v,o}", "cross.norm": "layer.1.layer_norm"}


def language_head(c: Config) -> Seq2SeqLM:
    """Tied outputs are scaled down, unless the config says otherwise."""
    return Seq2SeqLM(scale=c.d_model**-0.5 if c.scale_decoder_outputs else 1.0)


def untied(c: Config, tensors: Collection[str]) -> bool:
    """transformers 5 writes `tie_word_embeddings: true` in any case, and the truth elsewhere."""
    return c.raw("scale_decoder_outputs") is False and "lm_head.weight" in tensors


def std(c: Config, name: str) -> float:
    """Mesh TensorFlow's scales, by fan-in (Shazeer et al. 2018)."""
    factor, module = c.initializer_factor, name.split(".")[-2]
    scales = {"token": 1.0, "q": (c.d_model * c.d_kv) ** -0.5, "o": (c.num_heads * c.d_kv) ** -0.5,
              "down": c.d_ff**-0.5}
    return float(factor * scales.get(module, c.d_model**-0.5))


HEADS = {
    "Model": Arch(Base()),
    "ForConditionalGeneration": Arch(language_head, {"out": "lm_head"}, prefix=""),
    "EncoderModel": Arch(Base(), part="encoder"),
    "ForSequenceClassification": Arch(
        lambda c: SequenceClassifier("eos", "tanh", dropout=c.classifier_dropout, drop_in=True),
        {"dense": "classification_head.dense", "out": "classification_head.out_proj"}),
    "ForTokenClassification": Arch(lambda c: TokenClassifier(c.classifier_dropout),
                                   {"out": "classifier"}, part="encoder"),
    "ForQuestionAnswering": Arch(Span(), SPAN, prefix=""),
}
DEFAULTS = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6,
    "num_decoder_layers": None, "num_heads": 8, "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128, "dropout_rate": 0.1, "layer_norm_epsilon": 1e-6,
    "initializer_factor": 1.0, "feed_forward_proj": "relu", "pad_token_id": 0, "eos_token_id": 1,
    "decoder_start_token_id": 0, "classifier_dropout": 0.0, "is_encoder_decoder": True,
}  # fmt: skip
DERIVED = {
    "num_decoder_layers": lambda c: c.num_layers, "dense_act_fn": lambda c: feed_forward(c)[1],
    "is_gated_act": lambda c: feed_forward(c)[0],
    "scale_decoder_outputs": lambda c: c.tie_word_embeddings,
}  # fmt: skip
SYNONYMS = {"hidden_size": "d_model", "num_attention_heads": "num_heads",
            "num_hidden_layers": "num_layers", "head_dim": "d_kv"}

family("t5", spec, names, HEADS, "transformer", defaults=DEFAULTS, synonyms=SYNONYMS,
       derived=DERIVED, std=std, untied=untied, exact=(".wo",),
       drop=("*EncDecAttention.relative_attention_bias.weight",))
