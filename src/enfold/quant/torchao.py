"""torchao's names for what is stored here as compressed-tensors.

    TorchAoConfig("int4_weight_only", group_size=128)      or torchao's Int4WeightOnlyConfig(...)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.errors import ArgumentError, ConfigError, nearest
from enfold.quant.config import QuantizationConfig, QuantizationMethod
from enfold.quant.schemes import FLOAT_TOKENS, TOKENS, Args, Group

INT4 = Args(4, symmetric=False, strategy="group", group_size=128)
TYPES: dict[str, tuple[Args, Args | None]] = {
    "int4_weight_only": (INT4, None),
    "int8_weight_only": (Args(), None),
    "int8_dynamic_activation_int8_weight": (Args(), TOKENS),
    "int8_dynamic_activation_int4_weight": (Args(4, strategy="group", group_size=32), TOKENS),
    "float8_weight_only": (Args(type="float"), None),
    "float8_dynamic_activation_float8_weight": (Args(type="float"), FLOAT_TOKENS),
}


class TorchAoConfig(QuantizationConfig):
    """Quantize linear layers as torchao would.

    quant_type: "int4_weight_only" (group_size=128, with zeros), "int8_weight_only",
    "int8_dynamic_activation_int8_weight", "int8_dynamic_activation_int4_weight" (group_size=32),
    "float8_weight_only", "float8_dynamic_activation_float8_weight" (inputs are not rounded), or a
    configuration object of torchao's of one of these kinds.  modules_to_not_convert: names of
    layers that stay plain, by default the output head, which an empty list quantizes too.

    The model is saved in compressed-tensors' format, which transformers and vLLM read.
    """

    quant_method = QuantizationMethod.TORCHAO
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "quant_type": None, "modules_to_not_convert": None, "group_size": None,
        "include_input_output_embeddings": False, "untie_embedding_weights": False}

    quant_type: str
    group_size: int | None
    modules_to_not_convert: list[str] | None

    def __init__(self, quant_type: Any = None, modules_to_not_convert: list[str] | None = None,
                 **values: Any) -> None:
        if quant_type is not None and not isinstance(quant_type, str):
            quant_type, values = _of_object(quant_type, values)
        super().__init__(quant_type=quant_type, modules_to_not_convert=modules_to_not_convert,
                         **values)

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False,
                  **kwargs: Any) -> Any:
        if isinstance(config_dict.get("quant_type"), Mapping):
            raise NotImplementedError(
                "the checkpoint holds tensors of torchao's classes, which are not read. Do: load "
                "the checkpoint before it was quantized and quantize it here, for example with "
                "TorchAoConfig('int4_weight_only')")
        return super().from_dict(config_dict, return_unused_kwargs, **kwargs)

    def check(self) -> None:
        if self.quant_type not in TYPES:
            raise ConfigError(f"TorchAoConfig: quant_type is {self.quant_type!r}"
                              f"{nearest(str(self.quant_type), TYPES)}, expected one of "
                              f"{', '.join(TYPES)}. Do: use 'int4_weight_only'")
        for name in ("include_input_output_embeddings", "untie_embedding_weights"):
            if getattr(self, name):
                raise NotImplementedError(f"TorchAoConfig: {name}=True is not built: embeddings "
                                          "stay as they are. Do: leave it out")
        size = self.group_size
        if size is not None and (not isinstance(size, int) or (size != -1 and size < 1)):
            raise ConfigError(f"TorchAoConfig: group_size is {size!r}, expected a positive number, "
                              "or -1 for one group. Do: group_size=128")
        grouped = "int4" in self.quant_type or self.quant_type == "int8_weight_only"
        if self.group_size is not None and not grouped:
            raise ArgumentError(f"TorchAoConfig: {self.quant_type} takes no group_size, got "
                                f"{self.group_size}. Do: leave it out")

    def resolve(self) -> QuantizationConfig:
        """The configuration under which the model is stored."""
        from dataclasses import replace

        from enfold.quant.compressed import CompressedTensorsConfig

        weights, inputs = TYPES[self.quant_type]
        if self.group_size == -1:
            weights = replace(weights, strategy="channel", group_size=None)
        elif self.group_size is not None:
            weights = replace(weights, strategy="group", group_size=self.group_size)
        skip = [rf"re:(?:.*\.)?{re.escape(name)}(?:\..*)?$"
                for name in self.modules_to_not_convert or ()]
        group = Group(("Linear",), weights, inputs)
        found = CompressedTensorsConfig({"group_0": group}, ignore=skip)
        found.heads = self.modules_to_not_convert == []
        return found


def _of_object(given: Any, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(quant_type, arguments) of torchao's configuration object, by its class and attributes."""
    name = type(given).__name__.removesuffix("Config")
    spelled = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    if spelled not in TYPES:
        raise NotImplementedError(f"TorchAoConfig: {type(given).__name__} is not built, expected "
                                  f"one of {', '.join(TYPES)}. Do: "
                                  "TorchAoConfig('int4_weight_only', group_size=128)")
    size = getattr(given, "group_size", None)
    return spelled, values if size is None else {"group_size": size, **values}


CONFIG = TorchAoConfig
