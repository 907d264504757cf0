"""How calibrated layers are stored: as AutoGPTQ, AutoAWQ or llm-compressor (compressed-tensors) do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import nn

from enfold.errors import ConfigError, InputError
from enfold.quant.awq import AwqConfig
from enfold.quant.calibrate.gptq import Rules
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.quant.config import QuantizationConfig
from enfold.quant.gptq import GPTQConfig, left_plain
from enfold.quant.group_linear import AwqLinear, GPTQLinear, GroupLinear, PackedLinear, Scheme
from enfold.quant.schemes import Args, Group

Made = tuple[GroupLinear | None, str]


class Written(Protocol):
    """A layout: makes layers, and at the end the configuration."""

    def layer(self, path: str, linear: nn.Linear) -> Made:
        """An empty layer, or (None, why it can't be stored so)."""

    def config(self, kept: Sequence[str]) -> QuantizationConfig:
        """What config.json gets; kept: the layers of blocks that stay plain."""


def writer(layout: str, rules: Rules) -> Written:
    """The layout of a name."""
    if layout not in LAYOUTS:
        raise InputError(f"layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](rules)


class _Gptq:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ordered = rules.order and not rules.static and rules.group_size != -1
        self.scheme = Scheme(rules.bits, rules.group_size, rules.symmetric, self.ordered)

    def layer(self, path: str, linear: nn.Linear) -> Made:
        why = _unfit(linear, self.rules, words_in=True)
        return (None, why) if why else (GPTQLinear(linear, self.scheme, path), "")

    def config(self, kept: Sequence[str]) -> QuantizationConfig:
        rules = self.rules
        config = GPTQConfig(rules.bits, group_size=rules.group_size, damp_percent=rules.damp,
                            desc_act=rules.order, sym=rules.symmetric)
        config.notes = {"static_groups": rules.static}
        if kept:  # GPTQModel's way to say that layers are plain
            config.notes["dynamic"] = {left_plain(name): {} for name in kept}
        return config


class _Awq:
    def __init__(self, rules: Rules) -> None:
        if rules.bits != 4 or rules.symmetric:
            raise ConfigError("awq: the layout has 4 bits and zeros, got "
                              f"{rules.bits} bits{', symmetric' if rules.symmetric else ''}. Do: "
                              "leave that out, or use the layout compressed-tensors")
        self.rules = rules
        self.scheme = Scheme(4, rules.group_size, symmetric=False, version="gemm")

    def layer(self, path: str, linear: nn.Linear) -> Made:
        why = _unfit(linear, self.rules, words_in=False)
        return (None, why) if why else (AwqLinear(linear, self.scheme, path), "")

    def config(self, kept: Sequence[str]) -> QuantizationConfig:
        return AwqConfig(4, self.rules.group_size, modules_to_not_convert=list(kept) or None)


class _Packed:
    """Stores every layer: where groups don't divide the inputs, with one group for all."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.whole: list[str] = []

    def layer(self, path: str, linear: nn.Linear) -> Made:
        rules, size = self.rules, self.rules.group_size
        if size > 0 and linear.in_features % size:
            size = -1
            self.whole.append(path)
        return PackedLinear(linear, Scheme(rules.bits, size, rules.symmetric), path), ""

    def config(self, kept: Sequence[str]) -> QuantizationConfig:
        rules, groups = self.rules, {}
        order = "weight" if rules.order else None  # inputs keep their groups
        channel = Args(rules.bits, symmetric=rules.symmetric, actorder=order)
        if self.whole:
            groups["group_0"] = Group(tuple(self.whole), channel)
        args = channel if rules.group_size == -1 else Args(
            rules.bits, "int", rules.symmetric, "group", rules.group_size, actorder=order)
        groups[f"group_{len(groups)}"] = Group(("Linear",), args)
        return CompressedTensorsConfig(groups, format="pack-quantized", ignore=list(kept))


def _unfit(linear: nn.Linear, rules: Rules, *, words_in: bool) -> str:
    """Why a layer's sizes don't go into whole words and groups; "" if they do."""
    inputs, outputs, bits = linear.in_features, linear.out_features, rules.bits
    if rules.group_size > 0 and inputs % rules.group_size:
        return f"{inputs} inputs are not whole groups of {rules.group_size}"
    if words_in and inputs * bits % 32:
        return f"{inputs} inputs of {bits} bits are not whole words"
    if outputs * bits % 32:
        return f"{outputs} outputs of {bits} bits are not whole words"
    return ""


LAYOUTS: dict[str, Callable[[Rules], Written]] = {"gptq": _Gptq, "awq": _Awq,
                                                 "compressed-tensors": _Packed}
