"""GGUF's blocks kept: Q4_0 and Q8_0 become layers of compressed-tensors, bit for bit."""

from __future__ import annotations

from enfold.errors import ConfigError
from enfold.quant.config import QuantizationConfig


class GGUFQuantizationConfig(QuantizationConfig):
    """`from_pretrained("x.gguf", quantization_config=GGUFQuantizationConfig())` keeps the linear
    layers of a GGUF file that are Q4_0 or Q8_0 in their 4 or 8 bits; all else is turned into
    numbers.  Without it all is.  Saved, such a model is a compressed-tensors checkpoint.
    """

    quant_method = "gguf"

    def resolve(self) -> QuantizationConfig:
        raise ConfigError("GGUFQuantizationConfig keeps the blocks of a GGUF file. Do: give a GGUF "
                          "file, or another configuration such as BitsAndBytesConfig")
