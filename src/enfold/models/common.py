"""What pages share: readers of keys that the ecosystem spells in several ways, name lists."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    """Rotary positions, of either spelling."""
    values = rope_parameters(c)
    share = values.get("partial_rotary_factor") or c.get("partial_rotary_factor", 1.0)
    dim = int(head_dim * share)
    return Rope(float(values["rope_theta"]), None if dim == head_dim else dim,
                scaling=_scaling(values["rope_type"], values, c))


def rope_parameters(c: Config) -> dict[str, Any]:
    """The newer `rope_parameters`, or made of the older `rope_theta` and `rope_scaling`."""
    held = c.raw("rope_parameters") or c.raw("rope_scaling") or {}
    kind, theta = held.get("rope_type") or held.get("type") or "default", held.get("rope_theta")
    given = c.raw("rope_theta")
    if given and theta and given != theta:
        raise ConfigError(f"rope_theta is {given} but rope_parameters says {theta}. "
                          "Do: remove one of them")
    usual = c.DEFAULTS.get("rope_parameters", {}).get("rope_theta", 1e4)
    return {**held, "rope_type": kind, "rope_theta": theta or given or usual}


def rope_scaling(c: Config) -> dict[str, Any] | None:
    """The older spelling; None for plain rotary positions."""
    values = rope_parameters(c)
    return None if values["rope_type"] == "default" else values


ROPE: dict[str, Callable[[Config], object]] = {
    "rope_parameters": rope_parameters, "rope_scaling": rope_scaling,
    "rope_theta": lambda c: rope_parameters(c)["rope_theta"]}


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
