"""Configurations of quantization, as `from_pretrained(quantization_config=...)` takes them and
config.json keeps them.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from enfold.errors import ArgumentError, ConfigError, unknown_arguments

if TYPE_CHECKING:
    import torch


class QuantizationMethod(StrEnum):
    """What `quant_method` in config.json may be."""

    BITS_AND_BYTES = "bitsandbytes"
    GPTQ = "gptq"
    AWQ = "awq"
    COMPRESSED_TENSORS = "compressed-tensors"
    FP8 = "fp8"
    TORCHAO = "torchao"


class QuantizationConfig:
    """What all configurations have in common: attributes in, a dictionary out.

    A subclass gives `quant_method` and `DEFAULTS`: argument -> default.  `READING` lists those that
    may be chosen for a checkpoint that is quantized already.  `check()` raises
    `ConfigError` for values that don't fit.  Unknown arguments raise `ArgumentError`.
    """

    quant_method: ClassVar[str] = ""
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    READING: ClassVar[tuple[str, ...]] = ()  # what a caller may choose for a stored model
    asked: set[str]  # what is not the default
    stored: bool = False  # whether it is that of a checkpoint which is quantized already
    heads: bool = False  # whether output heads are quantized too

    def __init__(self, **values: Any) -> None:
        unknown = [name for name in values if name not in self.DEFAULTS]
        if unknown:
            raise unknown_arguments(f"{type(self).__name__}()", unknown, self.DEFAULTS)
        for name, default in self.DEFAULTS.items():
            setattr(self, name, copy.copy(values.get(name, default)))
        self.asked = {name for name, value in values.items()
                      if value != self.DEFAULTS[name] and (value or self.DEFAULTS[name])}
        self.check()

    def check(self) -> None:
        """Raise if the values don't fit; turn names of types into types."""

    def resolve(self) -> QuantizationConfig:
        """The configuration under which a model is stored: another's where this is a way to say
        it.
        """
        return self

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False,
                  **kwargs: Any) -> Any:
        """The configuration of config.json's `quantization_config`; kwargs are set on top.

        Keys that begin with an underscore and `quant_method` are notes of the writer.
        """
        values = {k: v for k, v in config_dict.items() if k != "quant_method" and k[0] != "_"}
        own = {name: kwargs.pop(name) for name in cls.DEFAULTS if name in kwargs}
        if kwargs and not return_unused_kwargs:
            raise unknown_arguments(f"{cls.__name__}.from_dict", kwargs, cls.DEFAULTS)
        config = cls(**{**values, **own})
        return (config, kwargs) if return_unused_kwargs else config

    def to_dict(self) -> dict[str, Any]:
        """All values, as JSON can hold them."""
        values = {name: _plain(getattr(self, name)) for name in self.DEFAULTS}
        return {"quant_method": str(self.quant_method), **values}

    def saved(self, plain: list[str]) -> dict[str, Any]:
        """What config.json of a model gets; plain: the names of linear layers left as they are."""
        return self.to_dict()

    def to_diff_dict(self) -> dict[str, Any]:
        """The values that are not the default."""
        usual = type(self)().to_dict() if self._has_usual() else {}
        return {k: v for k, v in self.to_dict().items() if k not in usual or usual[k] != v}

    def to_json_string(self, use_diff: bool = True) -> str:
        """JSON text, of the values that are not the default or of all."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write all values to a file."""
        Path(json_file_path).write_text(self.to_json_string(use_diff=False), encoding="utf-8")

    def update(self, **kwargs: Any) -> dict[str, Any]:
        """Set the values that there are; returns the others."""
        for name in [name for name in kwargs if name in self.DEFAULTS]:
            setattr(self, name, kwargs.pop(name))
        self.check()
        return kwargs

    def _has_usual(self) -> bool:
        return True

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.to_dict().items())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string(use_diff=False)}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = type(self).__new__(type(self))
        twin.__dict__.update({k: copy.copy(v) for k, v in self.__dict__.items()})
        return twin


def check_pattern(pattern: Any, title: str) -> None:
    """Raise for what is no regular expression."""
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ConfigError(f"{title} has {pattern!r}, expected a name or a regular expression "
                          f"({error}). Do: correct it") from None


class BitsAndBytesConfig(QuantizationConfig):
    """4 bits in blocks of 64 (NF4, FP4), or 8 bits by rows (LLM.int8), stored as bitsandbytes does.

    load_in_4bit, load_in_8bit: one of them.  bnb_4bit_quant_type: "fp4" or "nf4".
    bnb_4bit_use_double_quant: the blocks' scales in 8 bits.  bnb_4bit_compute_dtype: the type of
    products, float32 by default.  bnb_4bit_quant_storage: the type of the packed tensor in files.
    llm_int8_threshold: inputs at least this large are multiplied in full, 0 for none.
    llm_int8_skip_modules: layers left as they are, by name, end of a name or regular expression;
    by default the output head, which an empty list quantizes too.
    llm_int8_enable_fp32_cpu_offload: has no effect, the layers that a device_map puts on the CPU
    or disk are quantized and run there with or without it.
    """

    quant_method = QuantizationMethod.BITS_AND_BYTES
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "load_in_8bit": False, "load_in_4bit": False, "llm_int8_threshold": 6.0,
        "llm_int8_skip_modules": None, "llm_int8_enable_fp32_cpu_offload": False,
        "llm_int8_has_fp16_weight": False, "bnb_4bit_compute_dtype": None,
        "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False,
        "bnb_4bit_quant_storage": None}
    READING: ClassVar[tuple[str, ...]] = ("bnb_4bit_compute_dtype", "llm_int8_threshold")

    load_in_8bit: bool
    load_in_4bit: bool
    llm_int8_threshold: float
    llm_int8_skip_modules: list[str] | None
    llm_int8_enable_fp32_cpu_offload: bool
    llm_int8_has_fp16_weight: bool
    bnb_4bit_compute_dtype: torch.dtype
    bnb_4bit_quant_type: str
    bnb_4bit_use_double_quant: bool
    bnb_4bit_quant_storage: torch.dtype

    def __init__(self, load_in_8bit: bool = False, load_in_4bit: bool = False,
                 **values: Any) -> None:
        super().__init__(load_in_8bit=load_in_8bit, load_in_4bit=load_in_4bit, **values)

    def check(self) -> None:
        title = type(self).__name__
        if self.load_in_4bit and self.load_in_8bit:
            raise ConfigError(f"{title}: load_in_4bit and load_in_8bit are both True, expected one "
                              "of them. Do: leave one out")
        for name, kinds, said in KINDS:
            if not isinstance(getattr(self, name), kinds):
                raise ArgumentError(f"{title}: {name} is {getattr(self, name)!r}, expected {said}")
        for pattern in self.llm_int8_skip_modules or ():
            check_pattern(pattern, f"{title}: llm_int8_skip_modules")
        if self.bnb_4bit_quant_type not in ("fp4", "nf4"):
            raise ConfigError(f"{title}: bnb_4bit_quant_type is {self.bnb_4bit_quant_type!r}, "
                              "expected 'nf4' or 'fp4'. Do: use 'nf4'")
        if self.llm_int8_has_fp16_weight:
            raise NotImplementedError(f"{title}: llm_int8_has_fp16_weight=True keeps a second copy "
                                      "of each weight and is not built. Do: leave it out; adapters "
                                      "train on 8-bit layers as they are")
        self.heads = self.llm_int8_skip_modules == []
        self.bnb_4bit_compute_dtype = _type(self, "bnb_4bit_compute_dtype", "float32", COMPUTE)
        self.bnb_4bit_quant_storage = _type(self, "bnb_4bit_quant_storage", "uint8", STORAGE)

    def is_quantizable(self) -> bool:
        """Whether it asks for 4 or 8 bits at all."""
        return self.load_in_8bit or self.load_in_4bit

    def quantization_method(self) -> str | None:
        """ "llm_int8", "fp4", "nf4", or None."""
        if self.load_in_8bit:
            return "llm_int8"
        return self.bnb_4bit_quant_type if self.load_in_4bit else None

    def saved(self, plain: list[str]) -> dict[str, Any]:
        """All values; the layers left as they are by name."""
        given = self.llm_int8_skip_modules or ()
        skip = [*plain, *(name for name in given if name not in plain)]
        return {**self.to_dict(), "llm_int8_skip_modules": skip}

    def to_dict(self) -> dict[str, Any]:
        """All values, and those that transformers keeps under two names."""
        four, eight = self.load_in_4bit, self.load_in_8bit
        return {**super().to_dict(), "_load_in_4bit": four, "_load_in_8bit": eight}


BOOL = (bool, "True or False")
KINDS: tuple[tuple[str, Any, str], ...] = (
    ("load_in_4bit", *BOOL), ("load_in_8bit", *BOOL),
    ("llm_int8_threshold", (float, int), "a number"),
    ("llm_int8_skip_modules", (list, tuple, type(None)), "a list of names"),
    ("llm_int8_enable_fp32_cpu_offload", *BOOL), ("llm_int8_has_fp16_weight", *BOOL),
    ("bnb_4bit_use_double_quant", *BOOL))
COMPUTE = ("float32", "bfloat16", "float16")
STORAGE = ("uint8", "int8", "float16", "bfloat16", "float32", "float64")


def _type(config: QuantizationConfig, name: str, usual: str, known: tuple[str, ...]) -> torch.dtype:
    """The torch dtype of an attribute that holds one, its name, or None."""
    import torch

    value = getattr(config, name)
    spelled = usual if value is None else str(value).removeprefix("torch.")
    if spelled not in known:
        raise ConfigError(f"{type(config).__name__}: {name} is {value!r}, expected one of "
                          f"{', '.join(known)}. Do: give torch.{usual}")
    found: torch.dtype = getattr(torch, spelled)
    return found


def _plain(value: Any) -> Any:
    """A value for JSON: types by their names."""
    if type(value).__name__ == "dtype":
        return str(value).removeprefix("torch.")
    return copy.deepcopy(value)


