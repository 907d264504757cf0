"""Which layers a `BitsAndBytesConfig` makes of linear ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from torch import nn

from enfold.errors import ConfigError
from enfold.nn.quantized import QuantizedLinear
from enfold.quant.bnb.linear4 import STATE, Linear4bit
from enfold.quant.bnb.linear8 import Linear8bitLt
from enfold.quant.config import BitsAndBytesConfig

CONFIG = BitsAndBytesConfig


class BitsAndBytes:
    """Makes Linear4bit or Linear8bitLt layers."""

    def __init__(self, config: BitsAndBytesConfig) -> None:
        if not config.is_quantizable():
            raise ConfigError("BitsAndBytesConfig has neither load_in_4bit nor load_in_8bit, so it "
                              "asks for nothing. Do: BitsAndBytesConfig(load_in_4bit=True)")
        self.config = config

    def layer(self, path: str, linear: nn.Linear, held: Collection[str]) -> QuantizedLinear | None:
        """The layer for `path`; what the checkpoint holds decides if it is quantized already."""
        config = self.config
        stored = any(name in ("SCB", "weight_format") or name.startswith("weight.")
                     for name in held)
        if config.stored and not stored:
            return None
        if not stored and skipped(path, config.llm_int8_skip_modules or ()):
            return None
        if config.load_in_8bit:
            return Linear8bitLt(linear, float(config.llm_int8_threshold))
        fp4 = f"{STATE}fp4" in held or (not stored and config.bnb_4bit_quant_type == "fp4")
        return Linear4bit(linear, "fp4" if fp4 else "nf4", nested=config.bnb_4bit_use_double_quant,
                          compute=config.bnb_4bit_compute_dtype,
                          storage=config.bnb_4bit_quant_storage)


def method(config: BitsAndBytesConfig) -> BitsAndBytes:
    """What makes the layers."""
    return BitsAndBytes(config)


def skipped(path: str, patterns: Sequence[str]) -> bool:
    """Whether a layer's name begins with a pattern up to a dot, ends with it, or fits it."""
    return any(path.endswith(pattern) or re.match(rf"(?:{pattern})(?:(?<=\.)|(?=\.|$))", path)
               for pattern in patterns)
