"""AWQ checkpoints (Lin et al. 2023), as AutoAWQ writes them: 4 bits in groups, with zeros.

`enfold quantize --method awq` makes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from torch import nn

from enfold.errors import ConfigError
from enfold.quant.bnb.method import skipped
from enfold.quant.config import QuantizationMethod
from enfold.quant.gptq import CALIBRATE, NotedConfig
from enfold.quant.group_linear import AwqLinear, Scheme

VERSIONS = ("gemm", "gemv")


class AwqConfig(NotedConfig):
    """4-bit integers in groups, with zeros; what matters was scaled up before rounding.

    group_size: inputs that share a scale, -1 for all.  format (version in files): "gemm" or "gemv",
    the order of values in a word.  modules_to_not_convert: layers that are stored plainly.  The
    others are what the quantizing program did, and are kept.

    It describes checkpoints: to make one, `enfold quantize MODEL --method awq --text FILE`.
    """

    quant_method = QuantizationMethod.AWQ
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "bits": 4, "group_size": 128, "zero_point": True, "backend": "auto",
        "modules_to_not_convert": None, "format": "gemm", "do_fuse": None, "fuse_max_seq_len": None,
        "modules_to_fuse": None, "exllama_config": None}

    bits: int
    group_size: int
    modules_to_not_convert: list[str] | None
    zero_point: bool
    format: str

    def __init__(self, bits: int = 4, group_size: int = 128, zero_point: bool = True,
                 **values: Any) -> None:
        super().__init__(bits=bits, group_size=group_size, zero_point=zero_point,
                         **self.renamed(values))

    @classmethod
    def renamed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Names of older files: version is the format, w_bit and q_group_size are llm-awq's."""
        for old, new in (("version", "format"), ("w_bit", "bits"), ("q_group_size", "group_size")):
            if (value := values.pop(old, None)) is not None:
                values[new] = value
        return values

    def check(self) -> None:
        if self.bits != 4:
            raise ConfigError(f"AwqConfig: bits is {self.bits!r}, expected 4: AWQ's words hold "
                              "eight values. Do: bits=4, or GPTQConfig for other widths")
        if not isinstance(self.group_size, int) or (self.group_size != -1 and self.group_size < 1):
            raise ConfigError(f"AwqConfig: group_size is {self.group_size!r}, expected -1 or a "
                              "positive number. Do: group_size=128")
        if not self.zero_point:
            raise NotImplementedError("AwqConfig: zero_point=False is not read: AWQ's files have "
                                      "zeros. Do: compressed-tensors for symmetric groups")
        self.format = str(getattr(self.format, "value", self.format)).lower()
        if self.format not in VERSIONS:
            raise NotImplementedError(f"AwqConfig: version {self.format!r} is not read, expected "
                                      f"one of {', '.join(VERSIONS)}. Do: save the checkpoint as "
                                      "'gemm'")

    def saved(self, plain: list[str]) -> dict[str, Any]:
        """All values; plain layers within the body by name."""
        given = self.modules_to_not_convert or []
        more = [name for name in plain if "." in name and not skipped(name, given)]
        values = self.to_dict()
        return {**values, "modules_to_not_convert": [*given, *more]} if more else values

    def to_dict(self) -> dict[str, Any]:
        """All values; the format as the programs call it."""
        return {**super().to_dict(), "version": self.format}


class Awq:
    """Makes the layers of an AWQ checkpoint: those that have its tensors."""

    def __init__(self, config: AwqConfig) -> None:
        self.config = config
        self.scheme = Scheme(4, config.group_size, symmetric=False, version=config.format)

    def layer(self, path: str, linear: nn.Linear, held: Collection[str]) -> AwqLinear | None:
        """A quantized layer where the checkpoint has quantized tensors."""
        if {"qweight", "qzeros", "scales"}.isdisjoint(held):
            if not self.config.stored:
                raise NotImplementedError(CALIBRATE.format("AwqConfig", "awq"))
            return None
        return AwqLinear(linear, self.scheme, path, held)


CONFIG, method = AwqConfig, Awq
