"""Which module has a format: `quant_method` of config.json -> a module of this package.

Such a module defines `CONFIG`, the class of its configuration, and `method(config)`, a
`weights.packed.Method`; it is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from enfold.errors import ConfigError, nearest
from enfold.quant.config import QuantizationConfig
from enfold.quant.others import INSTEAD, refuse

if TYPE_CHECKING:
    from enfold.weights.packed import Method

MODULES: dict[str, str] = {
    "awq": "enfold.quant.awq",
    "bitsandbytes": "enfold.quant.bnb.method",
    "compressed-tensors": "enfold.quant.compressed",
    "fp8": "enfold.quant.fine_fp8",
    "gptq": "enfold.quant.gptq",
    "torchao": "enfold.quant.torchao",
}


def as_config(value: Any) -> QuantizationConfig:
    """A configuration from itself, another library's with `to_dict`, or a dictionary."""
    if isinstance(value, QuantizationConfig):
        return value.resolve()
    if isinstance(value, type):
        raise ConfigError(f"quantization_config is the class {value.__name__}, expected one of "
                          f"its objects. Do: {value.__name__}(...)")
    if not isinstance(value, Mapping) and hasattr(value, "to_dict"):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise ConfigError(f"quantization_config is a {type(value).__name__}, expected a "
                          "configuration such as BitsAndBytesConfig(load_in_4bit=True), or the "
                          "dictionary of one")
    found: QuantizationConfig = _module(_name(value)).CONFIG.from_dict(value)
    return found.resolve()


def as_method(config: QuantizationConfig) -> Method:
    """What makes the layers that a configuration asks for."""
    found: Method = _module(str(config.quant_method)).method(config)
    return found


def _name(values: Mapping[str, Any]) -> str:
    """The method of a dictionary; old files of bitsandbytes don't say it."""
    if name := values.get("quant_method"):
        return str(getattr(name, "value", name))
    if values.get("load_in_4bit") or values.get("load_in_8bit"):
        return "bitsandbytes"
    raise ConfigError("quantization_config has no quant_method, only "
                      f"{', '.join(values) or 'nothing at all'}. Do: add "
                      f"'quant_method', one of {', '.join(MODULES)}")


def _module(name: str) -> Any:
    if name not in MODULES:
        for known, (method, _) in INSTEAD.items():
            if method == name:
                refuse(method, known)
        raise ConfigError(f"quant_method {name!r} is not known{nearest(name, MODULES)}, expected "
                          f"one of {', '.join(sorted(MODULES))}. Do: load the checkpoint before it "
                          "was quantized and quantize it here")
    return import_module(MODULES[name])
