"""A configuration as GGUF metadata, with the tensors that stand for some of it."""

from __future__ import annotations

import logging
from typing import Any

from enfold.config import Config
from enfold.models.gguf.dialects import Dialect
from enfold.models.gguf.rope import rope_metadata

log = logging.getLogger("enfold")
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7, "bf16": 32}
GELU_TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")


def config_metadata(config: Config, dialect: Dialect, kind: str, name: str) -> tuple[
        dict[str, Any], dict[str, list[float]]]:
    """(metadata without the vocabulary, small tensors by name) of a config.

    Raises NotImplementedError for what llama.cpp would compute differently.
    """
    _refuse(config, dialect)
    start = dialect.architecture
    own: dict[str, Any] = {key: value for key, ours in dialect.keys.items()
                           if (value := config.get(ours)) is not None}
    own["vocab_size"] = config.vocab_size
    factors: dict[str, list[float]] = {}
    if "rope.freq_base" in dialect.known:
        turned = int(config.head_dim * config.get("partial_rotary_factor", 1.0))
        own["rope.dimension_count"] = turned
        if config.head_dim * config.num_attention_heads != config.hidden_size:
            own["attention.key_length"] = own["attention.value_length"] = config.head_dim
        rope, factors = rope_metadata(config.rope_parameters, turned)
        own |= rope
    if dialect.architecture == "gpt2":
        own["feed_forward_length"] = config.get("n_inner") or 4 * config.n_embd
    window = config.get("sliding_window") if config.model_type == "mistral" else None
    if window:
        own["attention.sliding_window"] = window
        log.warning("the model attends to the last %d positions only; llama.cpp's llama attends to "
                    "all: outputs differ for longer texts", window)
    general = {"general.architecture": start, "general.type": "model", "general.name": name,
               "general.file_type": FILE_TYPES[kind], "general.quantization_version": 2}
    return general | {f"{start}.{key}": value for key, value in own.items()}, factors


def _refuse(config: Config, dialect: Dialect) -> None:
    """Raise for what the format has no key for."""
    act = next((key for key in ("hidden_act", "activation_function") if key in dialect.fixed), "")
    usual = GELU_TANH if dialect.architecture == "gpt2" else ("silu", "swish")
    odd = {f"{act}={config.get(act)!r}": config.get(act) not in usual,
           "use_sliding_window=True": bool(config.get("use_sliding_window")),
           "scale_attn_weights=False": config.get("scale_attn_weights", True) is False,
           "scale_attn_by_inverse_layer_idx=True":
           bool(config.get("scale_attn_by_inverse_layer_idx"))}
    for what in (what for what, found in odd.items() if found):
        raise NotImplementedError(f"{what} can't be said in GGUF: llama.cpp would compute "
                                  f"something else for {dialect.architecture}. Do: keep the model "
                                  "in safetensors")
