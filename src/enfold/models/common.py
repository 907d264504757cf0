"""What pages share: readers of keys that the ecosystem spells in several ways, name lists."""

from __future__ import annotations

import math
from typing import Any

from enfold.config import Config
from enfold.errors import ConfigError
from enfold.models.registry import Arch
from enfold.spec import (
    CausalLM,
    Dynamic,
    Linear,
    Llama3,
    LongRope,
    Rope,
    Scaling,
    SequenceClassifier,
    Span,
    TokenClassifier,
    Yarn,
)

SPAN = {"out": "qa_outputs"}


def classifier_dropout(c: Config, fallback: str) -> float:
    """`classifier_dropout`, or the dropout called `fallback` where it is null."""
    value = c.get("classifier_dropout")
    return float(c[fallback] if value is None else value)


def decoder_heads(title_lm: str = "ForCausalLM", dropout: Any = None) -> dict[str, Arch]:
    """The heads that decoder-only families have in common."""
    return {title_lm: Arch(CausalLM(), {"out": "lm_head"}),
            "ForSequenceClassification": Arch(SequenceClassifier("last", bias=False),
                                              {"out": "score"}),
            "ForTokenClassification": Arch(dropout or _token_dropout, {"out": "score"}),
            "ForQuestionAnswering": Arch(Span(), SPAN, prefix="transformer")}


def _token_dropout(c: Config) -> TokenClassifier:
    value = c.get("classifier_dropout")
    return TokenClassifier(0.1 if value is None else value)


def rope(c: Config, head_dim: int) -> Rope:
    """Rotary positions: `rope_theta` and `rope_scaling`, or the newer `rope_parameters`."""
    old = c.get("rope_scaling") if c.given("rope_scaling") else None
    parameters = dict(old or c.get("rope_parameters") or {})
    theta = parameters.get("rope_theta", c.get("rope_theta", 1e4))
    if c.given("rope_theta") and theta != c.rope_theta:
        raise ConfigError(f"rope_theta is {c.rope_theta} but rope_parameters says {theta}. Do: "
                          "remove one of them")
    share = parameters.get("partial_rotary_factor", c.get("partial_rotary_factor", 1.0))
    dim = int(head_dim * share)
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    return Rope(float(theta), None if dim == head_dim else dim,
                scaling=_scaling(kind, parameters, c))


def _scaling(kind: str, p: dict[str, Any], c: Config) -> Scaling | None:
    key = "original_max_position_embeddings"
    original = p.get(key) or c.get(key, c.max_position_embeddings)
    if kind == "default":
        return None
    if kind == "linear":
        return Linear(p["factor"])
    if kind == "dynamic":
        return Dynamic(p["factor"], original)
    if kind == "llama3":
        return Llama3(p["factor"], p["low_freq_factor"], p["high_freq_factor"], original)
    if kind == "yarn":
        return Yarn(p["factor"], original, p.get("beta_fast") or 32.0, p.get("beta_slow") or 1.0,
                    _yarn_attention(p), p.get("truncate", True))
    if kind == "longrope":
        factor = p.get("factor") or c.max_position_embeddings / original
        stretch = math.sqrt(1 + math.log(max(factor, 1)) / math.log(original))
        attention = p.get("attention_factor") or stretch
        return LongRope(tuple(p["short_factor"]), tuple(p["long_factor"]), original, attention)
    raise ConfigError(f"unknown rope_type {kind!r}. Expected one of: default, linear, dynamic, "
                      "llama3, yarn, longrope")


def _yarn_attention(p: dict[str, Any]) -> float:
    def magnitude(scale: float) -> float:
        return 0.1 * scale * math.log(p["factor"]) + 1.0 if p["factor"] > 1 else 1.0

    if p.get("attention_factor") is not None:
        return float(p["attention_factor"])
    if p.get("mscale") and p.get("mscale_all_dim"):
        return magnitude(p["mscale"]) / magnitude(p["mscale_all_dim"])
    return magnitude(1.0)
