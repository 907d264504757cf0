"""BERT: bidirectional, post-LayerNorm, learned positions and segment types.

https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

from dataclasses import replace

from enfold.config import Config
from enfold.models.common import SPAN, classifier_dropout
from enfold.models.registry import Arch, family
from enfold.spec import (
    MLP,
    Attention,
    Base,
    Block,
    CausalLM,
    Learned,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    Norm,
    SequenceClassifier,
    Span,
    Stack,
    TokenClassifier,
    Tokens,
)
from enfold.weights.names import Names, Reads, Theirs, scope


def spec(c: Config) -> Stack:
    """Post-norm encoder; causal if `is_decoder`, with `add_cross_attention` reading an encoder."""
    norm, heads = Norm("layer", c.layer_norm_eps), c.num_attention_heads
    attn = Attention(heads, heads, c.hidden_size // heads, bias="qkvo", causal=c.is_decoder,
                     dropout=c.attention_probs_dropout_prob, drop_out=c.hidden_dropout_prob)
    cross = (replace(attn, causal=False, cross=True),) if c.add_cross_attention else ()
    mlp = MLP(c.intermediate_size, c.hidden_act, gated=False, bias=True,
              drop_out=c.hidden_dropout_prob)
    block = Block((attn, *cross, mlp), norm, norm_at=("sum",))
    embed = Tokens(c.vocab_size, Learned(c.max_position_embeddings), types=c.type_vocab_size,
                   norm=norm, dropout=c.hidden_dropout_prob, pad=c.pad_token_id)
    return Stack(c.hidden_size, (block,) * c.num_hidden_layers, embed)


def transform(c: Config) -> tuple[str, Norm]:
    """The dense layer before the vocabulary projection."""
    return c.hidden_act, Norm("layer", c.layer_norm_eps)


def attention_names(name: str) -> dict[str, Theirs]:
    """The names of an attention called `name` inside a layer."""
    return {"{q,k,v}": f"{name}.self." "{query,key,value}", "o": f"{name}.output.dense",
            "norm_sum": f"{name}.output.LayerNorm"}


LAYER: dict[str, Theirs] = scope("attn", "", attention_names("attention")) | scope(
    "cross", "", attention_names("crossattention")) | {
    "mlp.up": "intermediate.dense", "mlp.down": "output.dense", "mlp.norm_sum": "output.LayerNorm"}
NAMES = {"embed.token": "embeddings.word_embeddings",
         "embed.position": "embeddings.position_embeddings",
         "embed.segment": "embeddings.token_type_embeddings", "embed.norm": "embeddings.LayerNorm",
         **scope("layers.*", "encoder.layer.*", LAYER), "pooler": "pooler.dense"}
TRANSFORM: dict[str, Theirs] = {"dense": "cls.predictions.transform.dense",
                                "norm": "cls.predictions.transform.LayerNorm",
                                "out": "cls.predictions.decoder"}
SENTENCE = {"sentence": "cls.seq_relationship"}
CLASSES = {"out": "classifier"}


def vocabulary(c: Config) -> Names:
    """The names of the vocabulary projection."""
    return TRANSFORM | bias(c, "cls.predictions")


def bias(c: Config, place: str) -> dict[str, Theirs]:
    """The projection's bias, which files hold twice; untied, only the decoder's counts."""
    near, far = f"{place}.bias", f"{place}.decoder.bias"
    return {"out.bias": (near, far) if c.tie_word_embeddings else Reads(far, (near,))}


def hidden_dropout(c: Config) -> float:
    """The dropout of classification heads."""
    return classifier_dropout(c, "hidden_dropout_prob")


HEADS = {
    "Model": Arch(Base(pooled=True)),
    "ForPreTraining": Arch(lambda c: MaskedLM(transform=transform(c), sentence=True),
                           lambda c: {**vocabulary(c), **SENTENCE}),
    "ForMaskedLM": Arch(lambda c: MaskedLM(transform=transform(c)), vocabulary),
    "LMHeadModel": Arch(lambda c: CausalLM(transform=transform(c), bias=True), vocabulary),
    "ForNextSentencePrediction": Arch(NextSentence(), {"out": "cls.seq_relationship"}),
    "ForSequenceClassification": Arch(
        lambda c: SequenceClassifier("pooler", dropout=hidden_dropout(c)), CLASSES),
    "ForMultipleChoice": Arch(lambda c: MultipleChoice("pooler", dropout=hidden_dropout(c)),
                              CLASSES),
    "ForTokenClassification": Arch(lambda c: TokenClassifier(hidden_dropout(c)), CLASSES),
    "ForQuestionAnswering": Arch(Span(), SPAN),
}
DEFAULTS = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 512, "type_vocab_size": 2,
    "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    "classifier_dropout": None, "position_embedding_type": "absolute",
}  # fmt: skip


def check(c: Config) -> None:
    """Relative positions were an option of BERT that hardly a checkpoint uses."""
    if c.get("position_embedding_type") != "absolute":
        raise NotImplementedError(f"position_embedding_type {c.position_embedding_type!r} of BERT "
                                  "is not built; only 'absolute' is")


family("bert", spec, NAMES, HEADS, "bert", defaults=DEFAULTS, check=check, drop=("*.position_ids",))
