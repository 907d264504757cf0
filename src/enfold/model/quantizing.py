"""What a model with quantized layers knows and does beside the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from enfold.config import Config
from enfold.errors import ArgumentError, ConfigError, InputError
from enfold.nn.moe import Router
from enfold.quant.config import BitsAndBytesConfig
from enfold.weights.packed import Method, linears, packed
from enfold.weights.pieces import in_file

if TYPE_CHECKING:
    from enfold.quant.config import QuantizationConfig

log = logging.getLogger("enfold")


class QuantizedMixin(nn.Module):
    """Questions about a model's format, and the way back to plain weights."""

    config: Any

    @property
    def is_quantized(self) -> bool:
        """Whether linear layers are stored in fewer bits."""
        return bool(packed(self))

    @property
    def quantization_method(self) -> str | None:
        """ "bitsandbytes", "gptq", ..., None for a plain model."""
        found = self.config.get("quantization_config") if self.is_quantized else None
        return None if found is None else found.quant_method

    @property
    def is_loaded_in_4bit(self) -> bool:
        """Whether the layers are NF4 or FP4."""
        return any(layer.method in ("nf4", "fp4") for layer in packed(self).values())

    @property
    def is_loaded_in_8bit(self) -> bool:
        """Whether the layers are those of LLM.int8."""
        return any(layer.method == "llm_int8" for layer in packed(self).values())

    def dequantize(self, dtype: torch.dtype | None = None) -> Self:
        """Give the layers plain weights again, in place, one after the other; returns the model.

        dtype: by default that of the model's other weights.
        """
        layers = packed(self)
        if dtype is not None and not dtype.is_floating_point:
            raise InputError(f"{type(self).__name__}.dequantize({dtype}): expected a floating type."
                             " Do: torch.bfloat16")
        dtype = dtype or next((p.dtype for p in self.parameters() if p.is_floating_point()), None)
        if not layers:
            raise InputError(f"{type(self).__name__}.dequantize(): the model is not quantized. Do: "
                             "leave the call out")
        for path, layer in layers.items():
            parent, _, leaf = path.rpartition(".")
            setattr(nn.Module.get_submodule(self, parent), leaf, layer.plain(dtype))
        self.config.quantization_config = None
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move or cast, as torch does; a quantized model can only be moved."""
        dtype = torch._C._nn._parse_to(*args, **kwargs)[1]
        if dtype is not None:
            self._refuse_cast(f"to({dtype})")
        return super().to(*args, **kwargs)

    def half(self) -> Self:
        """Cast to float16."""
        self._refuse_cast("half()")
        return super().half()

    def float(self) -> Self:
        """Cast to float32."""
        self._refuse_cast("float()")
        return super().float()

    def bfloat16(self) -> Self:
        """Cast to bfloat16."""
        self._refuse_cast("bfloat16()")
        return super().bfloat16()

    def double(self) -> Self:
        """Cast to float64."""
        self._refuse_cast("double()")
        return super().double()

    def type(self, dst_type: torch.dtype | str) -> Self:
        """Cast."""
        self._refuse_cast(f"type({dst_type})")
        return super().type(dst_type)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all parameters, or none; quantized weights never are."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad and parameter.is_floating_point())
        return self

    def _refuse_cast(self, call: str) -> None:
        if self.is_quantized:
            raise InputError(f"{type(self).__name__}.{call}: a quantized model keeps the types it "
                             "has. Do: load it with dtype=..., or model.dequantize() first")


def stored_config(model: Any) -> dict[str, Any]:
    """config.json's `quantization_config`, which names the layers that are plain, routers too."""
    config: QuantizationConfig = model.config.quantization_config
    routers = [path for path, module in model._ours() if isinstance(module, Router)]
    return config.saved([in_file(model.names.theirs(path), model.pieces)
                         for path in (*(path for path, _ in linears(model)), *routers)])


def quantizing(config: Config, wanted: Any) -> Method | None:
    """What makes the quantized layers that the checkpoint has or the caller wants, and notes its
    configuration in `config`.
    """
    stored = config.get("quantization_config")
    if wanted is None and stored is None:
        return None
    from enfold.quant.registry import as_config, as_method

    chosen = as_config(wanted if stored is None else stored)
    if stored is not None:
        chosen.stored = True
    if stored is not None and wanted is not None:
        _adopt(chosen, as_config(wanted))
    config.quantization_config = chosen
    return as_method(chosen)


def asked_for(arguments: dict[str, Any]) -> Any:
    """Takes the configuration out of from_pretrained's arguments: quantization_config, or the
    older spelling of a BitsAndBytesConfig by its own arguments.
    """
    config = arguments.pop("quantization_config", None)
    given = {name: arguments.pop(name) for name in BitsAndBytesConfig.DEFAULTS if name in arguments}
    asks = BitsAndBytesConfig(**given)
    if asks.is_quantizable():
        if config is not None:
            raise ArgumentError(f"from_pretrained: {', '.join(given)} and quantization_config were "
                                "both given. Do: put it into the configuration")
        return asks
    if asks.asked:
        raise ArgumentError(f"from_pretrained: {', '.join(sorted(asks.asked))} only matter with "
                            "load_in_4bit=True or load_in_8bit=True. Do: "
                            "quantization_config=BitsAndBytesConfig(load_in_4bit=True, ...)")
    return config


def _adopt(stored: QuantizationConfig, given: QuantizationConfig) -> None:
    """Take what matters for reading from the caller's configuration; the rest is as in the file."""
    if given.quant_method != stored.quant_method:
        raise ConfigError(f"quantization_config asks for {str(given.quant_method)!r}, but the "
                          f"checkpoint is stored as {str(stored.quant_method)!r}. Do: leave "
                          "quantization_config out, or load the original checkpoint")
    for name in stored.READING:
        if name in given.asked:
            setattr(stored, name, getattr(given, name))
    others = [name for name in stored.DEFAULTS if name in given.asked
              and name not in stored.READING and getattr(stored, name) != getattr(given, name)]
    if others:
        log.warning("the checkpoint is quantized already, so these of quantization_config don't "
                    "apply: %s", ", ".join(others))
