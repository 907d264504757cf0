"""compressed-tensors: integers in groups, int8 and float8, as llm-compressor and vLLM have them.

Our own int4, int8 and float8 layers are stored so too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from enfold.errors import ConfigError
from enfold.nn.quantized import QuantizedLinear
from enfold.quant.config import QuantizationMethod, check_pattern
from enfold.quant.float8 import Float8Linear
from enfold.quant.gptq import NotedConfig
from enfold.quant.group_linear import PackedLinear, Scheme
from enfold.quant.int8 import Int8Linear
from enfold.quant.schemes import Args, Group
from enfold.quant.stored import Stored

WHOLE = ("int-quantized", "float-quantized", "naive-quantized")


class CompressedTensorsConfig(NotedConfig):
    """Which layers are stored how.

    config_groups: name -> {"targets": ["Linear"], "weights": {...}, "input_activations": {...}}, or
    a preset's name -> targets ({"W4A16": ["Linear"]}; presets: W4A16, W4A16_ASYM, W8A16, W4A8,
    W8A8, FP8_DYNAMIC, FP8_BLOCK; FP8 is only read, for its inputs have measured scales).  Targets
    and `ignore` are class names, names, or "re:" and a regular expression.  format:
    "pack-quantized", "int-quantized", "float-quantized", "naive-quantized"; by default what fits.
    Inputs are rounded to int8 where a group says so, with each row's own scale; float8 inputs stay
    as they are.
    """

    quant_method = QuantizationMethod.COMPRESSED_TENSORS
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "config_groups": None, "format": None, "quantization_status": "compressed",
        "kv_cache_scheme": None, "global_compression_ratio": None, "ignore": None,
        "sparsity_config": None, "transform_config": None, "run_compressed": True}

    config_groups: dict[str, Group]
    format: str | None
    ignore: list[str]

    def __init__(self, config_groups: Mapping[str, Any] | None = None, format: str | None = None,
                 **values: Any) -> None:
        super().__init__(config_groups=config_groups, format=format, **values)

    def check(self) -> None:
        for name, remedy in (("kv_cache_scheme", "use the checkpoint without it"),
                             ("transform_config", "use a checkpoint without transforms")):
            if getattr(self, name):
                raise NotImplementedError(f"CompressedTensorsConfig: {name} is not built. Do: "
                                          f"{remedy}")
        if (getattr(self, "sparsity_config", None) or {}).get("format", "dense") != "dense":
            raise NotImplementedError("CompressedTensorsConfig: sparsity_config is not built. Do: "
                                      "use a checkpoint that is not sparse")
        if not getattr(self, "run_compressed"):  # noqa: B009 - set by the base class
            raise NotImplementedError("CompressedTensorsConfig: run_compressed=False is not built. "
                                      "Do: load the model and call model.dequantize()")
        given = self.config_groups or {}
        if not isinstance(given, Mapping):
            raise ConfigError(f"CompressedTensorsConfig: config_groups is a {type(given).__name__},"
                              " expected a dictionary such as {'W4A16': ['Linear']}")
        self.config_groups = {name: group if isinstance(group, Group) else Group.of(name, group)
                              for name, group in given.items()}
        self.ignore = list(self.ignore or ())
        for pattern in (*self.ignore, *(target for group in self.config_groups.values()
                                        for target in group.targets)):
            check_pattern(pattern.removeprefix("re:") if pattern.startswith("re:") else "",
                          "CompressedTensorsConfig: targets or ignore")
        if not self.config_groups:
            raise ConfigError("CompressedTensorsConfig: config_groups is empty, expected for "
                              "example {'W4A16': ['Linear']}. Do: say which layers are quantized")

    def to_dict(self) -> dict[str, Any]:
        """As config.json has it."""
        groups = self.config_groups.values()
        layouts = {group.layout(self.format) for group in groups}
        said = self.format or (layouts.pop() if len(layouts) == 1 else "mixed-precision")
        named = {f"group_{place}": group.to_dict() for place, group in enumerate(groups)}
        values = {**super().to_dict(), "config_groups": named, "format": said,
                  "sparsity_config": {}, "transform_config": {}}
        del values["run_compressed"]
        return values

    def saved(self, plain: list[str]) -> dict[str, Any]:
        """As config.json has it; the layers left as they are are to be ignored.

        Other libraries find packed integers only where inputs stay as they are, so nothing is said
        of the inputs of what was packed here; with us they become int8 either way.
        """
        more = [name for name in plain if self.group(name) is not None]
        values = {**self.to_dict(), "ignore": [*self.ignore, *more]}
        for group, said in zip(self.config_groups.values(), values["config_groups"].values(),
                               strict=True):
            if not self.stored and group.layout(self.format) == "pack-quantized":
                said["input_activations"] = None
        return values

    def _has_usual(self) -> bool:
        return False

    def group(self, path: str) -> Group | None:
        """What holds for a linear layer, None for one that stays plain."""
        if matches(path, self.ignore):
            return None
        for group in self.config_groups.values():
            if matches(path, group.targets):
                return group
        return None


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a linear layer is meant: by its class, its name, or a regular expression."""
    return any(re.match(pattern[3:], path) is not None if pattern.startswith("re:")
               else pattern in ("Linear", path) for pattern in patterns)


class CompressedTensors:
    """Makes the layers that the groups of a configuration ask for."""

    def __init__(self, config: CompressedTensorsConfig) -> None:
        self.config = config

    def layer(self, path: str, linear: nn.Linear, held: Collection[str]) -> QuantizedLinear | None:
        """A quantized layer, or None for what no group targets."""
        group = self.config.group(path)
        if group is None or group.weights is None:
            return None
        if not self.config.stored and group.inputs is not None and not group.inputs.dynamic:
            raise ConfigError(f"{path}: its group wants inputs with scales measured beforehand "
                              "(input_activations with dynamic=False), which loading does not "
                              "measure. Do: dynamic=True, as presets W8A8 and FP8_DYNAMIC have it, "
                              "or no input_activations")
        weights, layout = group.weights, group.layout(self.config.format)
        if layout == "pack-quantized" and weights.type == "int":
            return PackedLinear(linear, _scheme(weights, held), path)
        fewer = weights.type == "int" and weights.num_bits < 8 and self.config.stored
        if layout not in WHOLE or (weights.num_bits != 8 and not fewer):
            raise NotImplementedError(
                f"{path}: compressed-tensors' format {layout!r} with {weights.num_bits} bits of "
                f"type {weights.type!r} is not built, expected pack-quantized integers, or 8 bits "
                "as int-quantized, float-quantized or naive-quantized. Do: load the checkpoint "
                "before it was quantized")
        stored = _stored(weights)
        stored.check(linear.in_features, path)
        if weights.type == "int":
            return Int8Linear(linear, stored, path, _rounds(group.inputs))
        return Float8Linear(linear, stored, path, torch.float8_e4m3fn)


def _rounds(inputs: Args | None) -> bool:
    return inputs is not None and inputs.type == "int" and inputs.num_bits == 8


def _scheme(weights: Args, held: Collection[str]) -> Scheme:
    if weights.strategy not in ("group", "channel"):
        raise NotImplementedError(f"pack-quantized with strategy {weights.strategy!r} is not "
                                  "built, expected 'group' or 'channel'. Do: use one of them")
    size = weights.group_size if weights.strategy == "group" else -1
    return Scheme(weights.num_bits, size or -1, weights.symmetric, "weight_g_idx" in held)


def _stored(weights: Args) -> Stored:
    if weights.strategy == "block":
        rows, columns = weights.block_structure or (128, 128)
        return Stored("block", rows, columns, weights.symmetric)
    return Stored(weights.strategy, weights.group_size or -1, symmetric=weights.symmetric)


CONFIG, method = CompressedTensorsConfig, CompressedTensors
