"""Rotary positions in GGUF: keys for theta, linear and yarn scaling; one divisor for each
frequency, as a tensor, for what llama.cpp has no formula for (Llama 3, longrope).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from enfold.models.gguf.keys import Keys

FREQS, LONG, SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
FACTORS = (FREQS, LONG, SHORT)
SCALING = "rope.scaling."
YARN = {"yarn_attn_factor": "attention_factor", "yarn_beta_fast": "beta_fast",
        "yarn_beta_slow": "beta_slow"}


def rope_values(keys: Keys, factors: Mapping[str, list[float]], head_dim: int,
                positions: int) -> dict[str, Any]:
    """`rope_parameters` of config.json.  factors: the divisors by tensor name."""
    theta = keys.share("rope.freq_base") or 10000.0
    kind, plain = keys.text("rope.scaling.type"), {"rope_theta": theta, "rope_type": "default"}
    if LONG in factors and SHORT in factors:
        original = keys.whole(f"{SCALING}original_context_length") or positions
        return {**plain, "rope_type": "longrope", "long_factor": factors[LONG],
                "short_factor": factors[SHORT], "original_max_position_embeddings": original,
                "attention_factor": keys.share(f"{SCALING}attn_factor")}
    if FREQS in factors:
        return {**plain, **divided(factors[FREQS], theta, head_dim, positions)}
    if kind == "linear" or (kind is None and keys.share("rope.scale_linear")):
        factor = keys.share(f"{SCALING}factor") or keys.share("rope.scale_linear", needed=True)
        return plain if factor == 1 else {**plain, "rope_type": "linear", "factor": factor}
    if kind == "yarn":
        whole = keys.whole(f"{SCALING}original_context_length")
        values = {"factor": keys.share(f"{SCALING}factor", needed=True),
                  "original_max_position_embeddings": whole,
                  **{key: keys.share(SCALING + name) for name, key in YARN.items()}}
        return {**plain, "rope_type": "yarn", **{k: v for k, v in values.items() if v is not None}}
    if kind not in (None, "none"):
        raise NotImplementedError(f"{keys.path}: GGUF rope.scaling.type {kind!r} without its "
                                  "factors is not built. Expected none, linear or yarn. Do: give "
                                  "the model's own folder")
    return plain


def divided(factors: list[float], theta: float, head_dim: int, positions: int) -> dict[str, Any]:
    """Divisors of the frequencies as Llama 3's formula if they follow it, else one by one."""
    found = _llama3(factors, theta, head_dim)
    if found is not None:
        again = llama3_factors(found, theta, head_dim)
        if all(abs(a - b) <= 1e-4 * b for a, b in zip(again, factors, strict=True)):
            return found
    return {"rope_type": "longrope", "long_factor": factors, "short_factor": factors,
            "original_max_position_embeddings": positions, "attention_factor": 1.0}


def llama3_factors(values: Mapping[str, Any], theta: float, head_dim: int) -> list[float]:
    """The divisor of each frequency [head_dim / 2] by Llama 3's formula."""
    factor, low, high = values["factor"], values["low_freq_factor"], values["high_freq_factor"]
    found = []
    for turns in _turns(theta, head_dim):
        turns *= values["original_max_position_embeddings"]
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        found.append(1 / ((1 - smooth) / factor + smooth))
    return found


def _llama3(factors: list[float], theta: float, head_dim: int) -> dict[str, Any] | None:
    """Solve the formula for its constants; only their ratios matter, so low_freq_factor is 1."""
    factor, turns = max(factors), _turns(theta, head_dim)
    between = [(turn, (1 / value - 1 / factor) / (1 - 1 / factor))
               for turn, value in zip(turns, factors, strict=True)
               if 1 + 1e-4 < value < factor * (1 - 1e-4)] if factor > 1 else []
    if len(turns) != len(factors) or len(between) < 2:
        return None
    (first, top), (last, bottom) = between[0], between[-1]
    slope = (top - bottom) / (first - last)
    start = slope * first - top  # smooth = slope * turn - start
    if start <= 0:
        return None
    return {"rope_type": "llama3", "factor": round(factor, 5), "low_freq_factor": 1.0,
            "high_freq_factor": round(1 + 1 / start, 3),
            "original_max_position_embeddings": round(slope / start)}


def _turns(theta: float, head_dim: int) -> list[float]:
    """Full turns per position of each frequency."""
    return [theta ** (-2 * index / head_dim) / (2 * math.pi) for index in range(head_dim // 2)]


def rope_metadata(values: Mapping[str, Any], head_dim: int) -> tuple[dict[str, Any],
                                                                     dict[str, list[float]]]:
    """(keys, tensors) for `rope_parameters`."""
    theta, kind = float(values["rope_theta"]), values["rope_type"]
    keys: dict[str, Any] = {"rope.freq_base": theta}
    if kind == "default":
        return keys, {}
    if kind == "llama3":
        return keys, {FREQS: llama3_factors(values, theta, head_dim)}
    keys["rope.scaling.type"] = kind
    if kind == "linear":
        return keys | {"rope.scaling.factor": float(values["factor"])}, {}
    if kind == "yarn":
        keys |= {SCALING + name: float(values[key]) for name, key in YARN.items()
                 if values.get(key) is not None}
        keys[f"{SCALING}factor"] = float(values["factor"])
        if values.get("original_max_position_embeddings"):
            keys[f"{SCALING}original_context_length"] = values["original_max_position_embeddings"]
        return keys, {}
    if kind == "longrope":
        keys["rope.scaling.original_context_length"] = values["original_max_position_embeddings"]
        if values.get("attention_factor"):
            keys["rope.scaling.attn_factor"] = float(values["attention_factor"])
        return keys, {LONG: values["long_factor"], SHORT: values["short_factor"]}
    raise NotImplementedError(f"rope_type {kind!r} can't be written as GGUF: llama.cpp has no such "
                              "scaling. Expected default, linear, yarn, llama3 or longrope")
