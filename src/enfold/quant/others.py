"""Quantization that others have and enfold has not, by name, with what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

NF4 = "BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4')"
INT4 = "TorchAoConfig('int4_weight_only', group_size=128)"
INT8 = "TorchAoConfig('int8_weight_only')"
BEFORE = "load the checkpoint before it was quantized"
INSTEAD: dict[str, tuple[str, str]] = {
    "QuantoConfig": ("quanto", f"use {INT8} or {INT4}"),
    "HqqConfig": ("hqq", f"use {INT4}, or enfold quantize --method gptq"),
    "EetqConfig": ("eetq", f"use {INT8}"),
    "AqlmConfig": ("aqlm", f"{BEFORE} and use {INT4}"),
    "VptqConfig": ("vptq", f"{BEFORE} and use {INT4}"),
    "HiggsConfig": ("higgs", f"{BEFORE} and use {INT4}"),
    "SpQRConfig": ("spqr", f"{BEFORE} and use {INT4}"),
    "FPQuantConfig": ("fp_quant", f"{BEFORE} and use {NF4}"),
    "FbgemmFp8Config": ("fbgemm_fp8", "use FineGrainedFP8Config()"),
    "BitNetQuantConfig": ("bitnet", BEFORE),
    "QuarkConfig": ("quark", BEFORE),
    "Mxfp4Config": ("mxfp4", f"{BEFORE} and use {NF4}"),
    "AutoRoundConfig": ("auto-round", "export the checkpoint in format auto_gptq or auto_awq"),
    "SinqConfig": ("sinq", f"{BEFORE} and use {INT4}"),
    "NVFP4Config": ("nvfp4", f"{BEFORE} and use {NF4}"),
}


class _Other:
    """A configuration that can't be made."""

    def __init__(self, *args: Any, **values: Any) -> None:
        refuse(INSTEAD[type(self).__name__][0], type(self).__name__)

    @classmethod
    def from_dict(cls, config_dict: Any, **kwargs: Any) -> NoReturn:
        """Raise, for a checkpoint of this kind."""
        refuse(INSTEAD[cls.__name__][0], cls.__name__)


def refuse(method: str, name: str) -> NoReturn:
    """Raise with what to use instead."""
    raise NotImplementedError(f"{name}: the method {method!r} is not built. Do: "
                              f"{INSTEAD[name][1]}")


def __getattr__(name: str) -> Any:
    if name in INSTEAD:
        return type(name, (_Other,), {"__doc__": f"Not built: {INSTEAD[name][1]}."})
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
