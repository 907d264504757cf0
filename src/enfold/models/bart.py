"""BART (https://arxiv.org/abs/1910.13461): encoder-decoder, post-LayerNorm, learned positions.

Marian (https://arxiv.org/abs/1804.00344): with fixed sinusoidal positions and no embedding norm.
"""

from __future__ import annotations

from dataclasses import replace

from enfold.config import Config
from enfold.models.common import SPAN
from enfold.models.registry import Arch, family
from enfold.spec import (
    MLP,
    Attention,
    Base,
    Block,
    CausalLM,
    EncDec,
    Learned,
    Norm,
    Seq2SeqLM,
    SequenceClassifier,
    Sinusoid,
    Span,
    Stack,
    Tokens,
)
from enfold.weights.names import Names, Reads, Theirs, scope


def spec(c: Config) -> EncDec:
    """BART's halves."""
    position, norm = Learned(c.max_position_embeddings + 2, offset=2), Norm("layer", 1e-5)
    encoder, decoder = (half(c, side, position, norm, c.vocab_size)
                        for side in ("encoder", "decoder"))
    return EncDec(encoder, decoder, shift_inputs=True)


def marian(c: Config) -> EncDec:
    """Marian's halves, with one vocabulary or two."""
    position, share = Sinusoid(c.max_position_embeddings), c.share_encoder_decoder_embeddings
    encoder = half(c, "encoder", position, None, c.vocab_size)
    decoder = half(c, "decoder", position, None, c.vocab_size if share else c.decoder_vocab_size)
    return EncDec(encoder, decoder, share_embed=share)


def half(c: Config, side: str, position: Learned | Sinusoid, norm: Norm | None,
         vocab: int) -> Stack:
    """One side; the decoder has a cross-attention in each block."""
    heads, causal = c[f"{side}_attention_heads"], side == "decoder"
    attn = Attention(heads, heads, c.d_model // heads, bias="qkvo", causal=causal,
                     dropout=c.attention_dropout, drop_out=c.dropout)
    cross = (replace(attn, causal=False, cross=True),) if causal else ()
    mlp = MLP(c[f"{side}_ffn_dim"], c.activation_function, gated=False, bias=True,
              dropout=c.activation_dropout, drop_out=c.dropout)
    block = Block((attn, *cross, mlp), Norm("layer", 1e-5), norm_at=("sum",))
    embed = Tokens(vocab, position, norm=norm, scale=c.d_model**0.5 if c.scale_embedding else 1.0,
                   dropout=c.dropout, pad=c.pad_token_id)
    return Stack(c.d_model, (block,) * c[f"{side}_layers"], embed, drop=c[f"{side}_layerdrop"])


ATTN = {"attn.{k,v,q,o}": "self_attn.{k_proj,v_proj,q_proj,out_proj}",
        "attn.norm_sum": "self_attn_layer_norm"}
CROSS = {"cross.{k,v,q,o}": "encoder_attn.{k_proj,v_proj,q_proj,out_proj}",
         "cross.norm_sum": "encoder_attn_layer_norm"}
FORWARD = {"mlp.{up,down}": "{fc1,fc2}", "mlp.norm_sum": "final_layer_norm"}
BODY = {"{encoder,decoder}.embed.position": "{encoder,decoder}.embed_positions"} | scope(
    "encoder.layers.*", "encoder.layers.*", ATTN | FORWARD) | scope(
    "decoder.layers.*", "decoder.layers.*", ATTN | CROSS | FORWARD) | {
    "{encoder,decoder}.embed.norm": "{encoder,decoder}.layernorm_embedding"}
SHARED: dict[str, Theirs] = {"encoder.embed.token": ("shared", "encoder.embed_tokens"),
                             "decoder.embed.token": "decoder.embed_tokens"}
APART: dict[str, Theirs] = {"{encoder,decoder}.embed.token": "{encoder,decoder}.embed_tokens"}


def marian_names(c: Config) -> Names:
    """Marian's names; without a shared vocabulary there is no `shared`."""
    return (SHARED if c.share_encoder_decoder_embeddings else APART) | BODY


LM = {"out": "lm_head"}
SEQ2SEQ = Arch(Seq2SeqLM(fixed_bias=True), LM | {"fixed_bias": "final_logits_bias"})
DECODER = Arch(CausalLM(shift=False), LM, part="decoder",
               rename={"embed.token": Reads("decoder.embed_tokens", ("shared",))})
MARIAN_HEADS = {"Model": Arch(Base()), "MTModel": SEQ2SEQ, "ForCausalLM": DECODER}
HEADS = {
    "Model": Arch(Base()),
    "ForConditionalGeneration": SEQ2SEQ,
    "ForSequenceClassification": Arch(
        lambda c: SequenceClassifier("eos", "tanh", dropout=c.classifier_dropout, drop_in=True),
        {"dense": "classification_head.dense", "out": "classification_head.out_proj"}),
    "ForQuestionAnswering": Arch(Span(), SPAN),
    "ForCausalLM": DECODER,
}
COMMON = {
    "max_position_embeddings": 1024, "encoder_layers": 12, "encoder_ffn_dim": 4096,
    "encoder_attention_heads": 16, "decoder_layers": 12, "decoder_ffn_dim": 4096,
    "decoder_attention_heads": 16, "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0,
    "activation_function": "gelu", "d_model": 1024, "dropout": 0.1, "attention_dropout": 0.0,
    "activation_dropout": 0.0, "init_std": 0.02, "scale_embedding": False,
    "is_encoder_decoder": True,
}  # fmt: skip
DEFAULTS = COMMON | {
    "vocab_size": 50265, "classifier_dropout": 0.0, "pad_token_id": 1, "bos_token_id": 0,
    "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2, "num_labels": 3,
}  # fmt: skip
MARIAN = COMMON | {
    "vocab_size": 58101, "decoder_vocab_size": None, "decoder_start_token_id": 58100,
    "pad_token_id": 58100, "eos_token_id": 0, "forced_eos_token_id": 0,
    "share_encoder_decoder_embeddings": True,
}  # fmt: skip
SYNONYMS = {"hidden_size": "d_model", "num_attention_heads": "encoder_attention_heads",
            "num_hidden_layers": "encoder_layers", "initializer_range": "init_std"}

family("bart", spec, SHARED | BODY, HEADS, "model", defaults=DEFAULTS, synonyms=SYNONYMS,
       drop=("*.version",))
family("marian", marian, marian_names, MARIAN_HEADS, "model", defaults=MARIAN, synonyms=SYNONYMS,
       derived={"decoder_vocab_size": lambda c: c.vocab_size})
