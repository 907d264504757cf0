"""Fine-grained float8: e4m3 weights with a scale for each block of 128 x 128 (DeepSeek-V3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from enfold.errors import ConfigError
from enfold.quant.bnb.method import skipped
from enfold.quant.config import QuantizationMethod
from enfold.quant.float8 import Float8Linear
from enfold.quant.gptq import NotedConfig
from enfold.quant.stored import Stored


class FineGrainedFP8Config(NotedConfig):
    """float8 weights in blocks.

    weight_block_size: (outputs, inputs) of a block, None for one scale a tensor.
    modules_to_not_convert: names of layers that stay plain, by default the output head, which an
    empty list quantizes too.
    activation_scheme: "dynamic"; products run on dequantized weights here, so that inputs are not
    rounded.
    """

    quant_method = QuantizationMethod.FP8
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "activation_scheme": "dynamic", "weight_block_size": (128, 128), "dequantize": False,
        "modules_to_not_convert": None, "modules_to_convert": None, "scale_fmt": "float",
        "expert_dtype": "fp8"}

    weight_block_size: tuple[int, int] | None
    modules_to_not_convert: list[str] | None

    def __init__(self, activation_scheme: str = "dynamic", weight_block_size: Any = (128, 128),
                 **values: Any) -> None:
        super().__init__(activation_scheme=activation_scheme, weight_block_size=weight_block_size,
                         **self.renamed(values))

    @classmethod
    def renamed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """ignored_layers is what some files call modules_to_not_convert."""
        ignored = values.pop("ignored_layers", None)
        return values if ignored is None else {**values, "modules_to_not_convert": ignored}

    def check(self) -> None:
        for name, usual in (("dequantize", False), ("modules_to_convert", None),
                            ("scale_fmt", "float"), ("expert_dtype", "fp8")):
            if getattr(self, name) != usual:
                raise NotImplementedError(f"FineGrainedFP8Config: {name}={getattr(self, name)!r} "
                                          f"is not built, expected {usual!r}. Do: leave it out")
        if self.activation_scheme not in ("dynamic", "static"):  # type: ignore[attr-defined]
            raise ConfigError("FineGrainedFP8Config: activation_scheme is "
                              f"{self.activation_scheme!r}, "  # type: ignore[attr-defined]
                              "expected 'dynamic' or 'static'")
        self.heads = self.modules_to_not_convert == []
        size = self.weight_block_size
        if size is not None:
            if not isinstance(size, tuple | list) or len(size) != 2 or min(size) < 1:
                raise ConfigError(f"FineGrainedFP8Config: weight_block_size is {size!r}, expected "
                                  "two positive numbers. Do: (128, 128)")
            self.weight_block_size = (int(size[0]), int(size[1]))

    def to_dict(self) -> dict[str, Any]:
        """All values, as JSON can hold them."""
        size = self.weight_block_size
        return {**super().to_dict(), "weight_block_size": None if size is None else list(size)}

    def saved(self, plain: list[str]) -> dict[str, Any]:
        """All values; the layers left as they are by name."""
        given = self.modules_to_not_convert or ()
        skip = [*plain, *(name for name in given if name not in plain)]
        return {**self.to_dict(), "modules_to_not_convert": skip}


class FineGrainedFP8:
    """Makes float8 layers of all but what is skipped."""

    def __init__(self, config: FineGrainedFP8Config) -> None:
        self.config = config
        size = config.weight_block_size
        self.stored = Stored("tensor") if size is None else Stored("block", *size)

    def layer(self, path: str, linear: nn.Linear, held: Collection[str]) -> Float8Linear | None:
        """A float8 layer, or None for one that is skipped or that the checkpoint has in full."""
        if skipped(path, self.config.modules_to_not_convert or ()):
            return None
        return Float8Linear(linear, self.stored, path, torch.float8_e4m3fn, "weight_scale_inv")


CONFIG, method = FineGrainedFP8Config, FineGrainedFP8
