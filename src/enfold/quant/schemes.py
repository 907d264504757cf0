"""What compressed-tensors' configurations say of a layer's weights and inputs, and their presets.

    Args(num_bits=4, type="int", strategy="group", group_size=128, symmetric=True)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from enfold.errors import ConfigError, nearest

STRATEGIES = ("tensor", "channel", "group", "block", "token")


@dataclass(frozen=True, slots=True)
class Args:
    """Bits and scales of a weight, or of inputs."""

    num_bits: int = 8
    type: str = "int"
    symmetric: bool = True
    strategy: str = "channel"
    group_size: int | None = None
    block_structure: tuple[int, int] | None = None
    dynamic: bool = False
    actorder: str | None = None

    @classmethod
    def of(cls, values: Any, where: str) -> Args | None:
        """From a dictionary of config.json; None for none."""
        if values is None or isinstance(values, Args):
            return values
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where} is a {type(values).__name__}, expected a dictionary such "
                              "as {'num_bits': 8, 'type': 'int', 'strategy': 'channel'}. Do: check "
                              "config_groups")
        own = {field.name: values[field.name] for field in fields(cls)
               if values.get(field.name) is not None}
        if isinstance(structure := own.get("block_structure"), str):  # "128x128" in old files
            own["block_structure"] = structure.split("x")
        if "block_structure" in own:
            rows, columns = own["block_structure"]
            own["block_structure"] = (int(rows), int(columns))
        size = own.get("group_size")
        usual = "channel" if size == -1 else "group" if size else "tensor"
        found = cls(**{"strategy": usual, **own})
        found.check(where)
        return found

    def check(self, where: str) -> None:
        """Raise for what does not go together."""
        if self.strategy == "tensor_group":
            raise NotImplementedError(f"{where}: strategy 'tensor_group' (NVFP4) is not built. Do: "
                                      "load the checkpoint before it was quantized")
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"{where}: strategy is {self.strategy!r}, expected one of "
                              f"{', '.join(STRATEGIES)}")
        if self.strategy == "group" and (self.group_size or 0) < 1:
            raise ConfigError(f"{where}: strategy 'group' with group_size {self.group_size!r}, "
                              "expected a positive number. Do: group_size=128")
        if self.strategy == "block" and self.block_structure is None:
            raise ConfigError(f"{where}: strategy 'block' without block_structure, expected "
                              "[rows, columns]. Do: block_structure=[128, 128]")
        if self.type not in ("int", "float"):
            raise ConfigError(f"{where}: type is {self.type!r}, expected 'int' or 'float'")

    def to_dict(self) -> dict[str, Any]:
        """As config.json has it."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("actorder", "block_structure"):
            if values[name] is None:
                del values[name]
        if "block_structure" in values:
            values["block_structure"] = list(values["block_structure"])
        return {**values, "observer": None if self.dynamic else "minmax"}


@dataclass(frozen=True, slots=True)
class Group:
    """One of config_groups: which layers, and how their weights and inputs are stored."""

    targets: tuple[str, ...]
    weights: Args | None
    inputs: Args | None = None
    format: str | None = None

    @classmethod
    def of(cls, name: str, values: Any) -> Group:
        """From config_groups: a dictionary, or for a preset's name its list of targets."""
        if isinstance(values, list | tuple):
            return cls(tuple(values), *preset(name))
        if not isinstance(values, Mapping):
            raise ConfigError(f"config_groups[{name!r}] is a {type(values).__name__}, expected a "
                              "dictionary, or a list of targets for a preset such as 'W4A16'")
        if values.get("output_activations") is not None:
            raise NotImplementedError(f"config_groups[{name!r}]: output_activations are not built. "
                                      "Do: leave them out")
        return cls(tuple(values.get("targets") or ("Linear",)),
                   Args.of(values.get("weights"), f"config_groups[{name!r}].weights"),
                   Args.of(values.get("input_activations"),
                           f"config_groups[{name!r}].input_activations"), values.get("format"))

    def to_dict(self) -> dict[str, Any]:
        """As config.json has it."""
        return {"targets": list(self.targets),
                "weights": self.weights.to_dict() if self.weights else None,
                "input_activations": self.inputs.to_dict() if self.inputs else None,
                "output_activations": None, "format": self.format}

    def layout(self, usual: str | None) -> str:
        """The format of the tensors: that of the group, of the file, or what fits the bits."""
        said = self.format or usual
        if said not in (None, "dense", "mixed-precision"):
            return str(said)
        if self.weights is not None and self.weights.type == "float":
            return "float-quantized"
        whole = self.inputs is not None and self.weights is not None and self.weights.num_bits == 8
        return "int-quantized" if whole else "pack-quantized"


def preset(name: str) -> tuple[Args, Args | None]:
    """(weights, inputs) of a preset."""
    if name.upper() not in PRESETS:
        raise ConfigError(f"config_groups: no preset is called {name!r}"
                          f"{nearest(name.upper(), PRESETS)}, expected one of "
                          f"{', '.join(PRESETS)}. Do: give a dictionary with 'weights'")
    return PRESETS[name.upper()]


TOKENS = Args(strategy="token", dynamic=True)
FLOAT_TOKENS = Args(type="float", strategy="token", dynamic=True)
PRESETS: dict[str, tuple[Args, Args | None]] = {
    "W4A16": (Args(4, strategy="group", group_size=128), None),
    "W4A16_ASYM": (Args(4, symmetric=False, strategy="group", group_size=128), None),
    "W8A16": (Args(strategy="channel"), None),
    "W4A8": (Args(4, strategy="group", group_size=128), TOKENS),
    "W8A8": (Args(), TOKENS), "INT8": (Args(), TOKENS),
    "FP8_DYNAMIC": (Args(type="float"), FLOAT_TOKENS),
    "FP8_BLOCK": (Args(type="float", strategy="block", block_structure=(128, 128)),
                  Args(type="float", strategy="group", group_size=128, dynamic=True)),
    "FP8": (Args(type="float", strategy="tensor"), Args(type="float", strategy="tensor")),
}
