"""DistilBERT (https://arxiv.org/abs/1910.01108): BERT without segment types and pooler."""

from __future__ import annotations

from enfold.config import Config
from enfold.models.common import SPAN
from enfold.models.registry import Arch, family
from enfold.spec import (
    MLP,
    Attention,
    Base,
    Block,
    Learned,
    MaskedLM,
    MultipleChoice,
    Norm,
    SequenceClassifier,
    Span,
    Stack,
    TokenClassifier,
    Tokens,
)
from enfold.weights.names import scope


def spec(c: Config) -> Stack:
    """Post-norm encoder."""
    norm = Norm("layer", 1e-12)
    attn = Attention(c.n_heads, c.n_heads, c.dim // c.n_heads, bias="qkvo", causal=False,
                     dropout=c.attention_dropout)
    # the attention's output has no dropout of its own; the feed-forward has it at its end
    block = Block((attn, MLP(c.hidden_dim, c.activation, gated=False, bias=True,
                             drop_out=c.dropout)), norm,
                  norm_at=("sum",))
    embed = Tokens(c.vocab_size, Learned(c.max_position_embeddings), norm=norm, dropout=c.dropout,
                   pad=c.pad_token_id)
    return Stack(c.dim, (block,) * c.n_layers, embed)


LAYER = {"attn.{q,k,v,o}": "attention.{q_lin,k_lin,v_lin,out_lin}",
         "attn.norm_sum": "sa_layer_norm", "mlp.{up,down}": "ffn.{lin1,lin2}",
         "mlp.norm_sum": "output_layer_norm"}
NAMES = {"embed.token": "embeddings.word_embeddings",
         "embed.position": "embeddings.position_embeddings",
         "embed.norm": "embeddings.LayerNorm"} | scope("layers.*", "transformer.layer.*", LAYER)
VOCABULARY = {"dense": "vocab_transform", "norm": "vocab_layer_norm", "out": "vocab_projector"}
CLASSES = {"dense": "pre_classifier", "out": "classifier"}
HEADS = {
    "Model": Arch(Base()),
    "ForMaskedLM": Arch(lambda c: MaskedLM(transform=(c.activation, Norm("layer", 1e-12))),
                        VOCABULARY),
    "ForSequenceClassification": Arch(
        lambda c: SequenceClassifier("first", "relu", dropout=c.seq_classif_dropout), CLASSES),
    "ForMultipleChoice": Arch(lambda c: MultipleChoice("first", "relu",
                                                       dropout=c.seq_classif_dropout), CLASSES),
    "ForTokenClassification": Arch(lambda c: TokenClassifier(c.dropout), {"out": "classifier"}),
    "ForQuestionAnswering": Arch(lambda c: Span(c.qa_dropout), SPAN),
}
DEFAULTS = {
    "vocab_size": 30522, "max_position_embeddings": 512, "sinusoidal_pos_embds": False,
    "n_layers": 6, "n_heads": 12, "dim": 768, "hidden_dim": 3072, "dropout": 0.1,
    "attention_dropout": 0.1, "activation": "gelu", "initializer_range": 0.02, "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2, "pad_token_id": 0,
}  # fmt: skip
SYNONYMS = {"hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers"}

family("distilbert", spec, NAMES, HEADS, "distilbert", defaults=DEFAULTS, synonyms=SYNONYMS,
       drop=("*.position_ids",))
