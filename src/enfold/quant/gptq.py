"""GPTQ checkpoints (Frantar et al. 2022), as AutoGPTQ and GPTQModel write them.

`enfold quantize --method gptq` makes them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from torch import nn

from enfold.errors import ConfigError
from enfold.quant.config import QuantizationConfig, QuantizationMethod
from enfold.quant.group_linear import GPTQLinear, Scheme

FORMATS = {"gptq": 1, "gptq_v2": 2}
BITS = (2, 3, 4, 8)
CALIBRATE = ("{}: the checkpoint is not quantized, and it can't be calibrated while it is "
             "loaded. Do: enfold quantize MODEL --method {} --text FILE --out DIR, and load DIR")


class NotedConfig(QuantizationConfig):
    """A configuration of files that other programs write: what they note besides is kept, and
    saved again.
    """

    notes: dict[str, Any]

    def __init__(self, **values: Any) -> None:
        self.notes = {}
        super().__init__(**values)

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False,
                  **kwargs: Any) -> Any:
        values = cls.renamed(dict(config_dict))
        values.pop("quant_method", None)
        known = {name: value for name, value in values.items() if name in cls.DEFAULTS}
        found = super().from_dict(known, return_unused_kwargs, **kwargs)
        config = found[0] if return_unused_kwargs else found
        config.notes = {name: value for name, value in values.items() if name not in cls.DEFAULTS}
        config.check_notes()
        return found

    @classmethod
    def renamed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A file's values under the names of arguments."""
        return values

    def check_notes(self) -> None:
        """Raise for notes that change how tensors have to be read."""

    def to_dict(self) -> dict[str, Any]:
        """All values, and what the file noted besides."""
        return {**super().to_dict(), **self.notes}


class GPTQConfig(NotedConfig):
    """Integers in groups, rounded one input after the other so that the outputs' error is least.

    bits: 2, 3, 4 or 8.  group_size: inputs that share a scale, -1 for all.  desc_act: inputs were
    taken by descending activation, so that groups are not runs.  sym: zeros in the middle.  format
    (checkpoint_format in files): "gptq" (zeros stored less one) or "gptq_v2".  The others are what
    the quantizing program did, and are kept.

    It describes checkpoints: to make one, `enfold quantize MODEL --method gptq --text FILE`.
    """

    quant_method = QuantizationMethod.GPTQ
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "bits": None, "tokenizer": None, "dataset": None, "group_size": 128, "damp_percent": 0.1,
        "desc_act": False, "act_group_aware": True, "sym": True, "true_sequential": True,
        "format": "gptq", "meta": None, "backend": None, "model_seqlen": None,
        "block_name_to_quantize": None, "module_name_preceding_first_block": None, "batch_size": 1,
        "pad_token_id": None, "max_input_length": None, "cache_block_outputs": True,
        "modules_in_block_to_quantize": None, "use_cuda_fp16": False, "use_exllama": None,
        "disable_exllama": None, "exllama_config": None, "modules_to_not_convert": None}

    bits: int
    group_size: int
    desc_act: bool
    sym: bool
    format: str
    damp_percent: float
    act_group_aware: bool

    def __init__(self, bits: int | None = None, tokenizer: Any = None, dataset: Any = None,
                 group_size: int = 128, **values: Any) -> None:
        super().__init__(bits=bits, tokenizer=tokenizer, dataset=dataset, group_size=group_size,
                         **self.renamed(values))

    @classmethod
    def renamed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """checkpoint_format is what files call `format`."""
        written = values.pop("checkpoint_format", None)
        return values if written is None else {**values, "format": written}

    def check(self) -> None:
        name = type(self).__name__
        if self.bits not in BITS:
            raise ConfigError(f"{name}: bits is {self.bits!r}, expected one of {BITS}. Do: bits=4")
        if not isinstance(self.group_size, int) or (self.group_size != -1 and self.group_size < 1):
            raise ConfigError(f"{name}: group_size is {self.group_size!r}, expected -1 or a "
                              "positive number. Do: group_size=128")
        if not 0 < self.damp_percent < 1:
            raise ConfigError(f"{name}: damp_percent is {self.damp_percent!r}, expected a number "
                              "between 0 and 1. Do: damp_percent=0.01")
        self.format = str(self.format).lower()
        if self.format not in FORMATS:
            raise NotImplementedError(f"{name}: format {self.format!r} is not read, expected one "
                                      f"of {', '.join(FORMATS)}. Do: save the checkpoint as 'gptq'")
        if self.desc_act:
            self.act_group_aware = False

    def check_notes(self) -> None:
        if self.notes.get("is_marlin_format"):
            raise NotImplementedError("GPTQConfig: is_marlin_format=True: Marlin's layout is not "
                                      "read. Do: use the checkpoint in format 'gptq'")

    def to_dict(self) -> dict[str, Any]:
        """All values; the format also as the programs call it."""
        values = {**super().to_dict(), "checkpoint_format": self.format}
        values["tokenizer"] = None if self.tokenizer is None else str(self.tokenizer)
        return values

    tokenizer: Any

    def saved(self, plain: list[str]) -> dict[str, Any]:
        """All values; plain layers within the body as GPTQModel says it."""
        known = self.notes.get("dynamic") or {}
        more: dict[str, Any] = {left_plain(name): {} for name in plain if "." in name
                and not any(re.match(pattern.removeprefix("-:"), name) for pattern in known)}
        values = self.to_dict()
        return {**values, "dynamic": {**known, **more}} if more else values

    def _has_usual(self) -> bool:
        return False

    def scheme(self, path: str) -> Scheme:
        """Of a layer: GPTQModel's `dynamic` may say something else for some."""
        values: dict[str, Any] = {"bits": self.bits, "group_size": self.group_size, "sym": self.sym}
        for pattern, changes in (self.notes.get("dynamic") or {}).items():
            if not pattern.startswith("-:") and re.match(pattern.removeprefix("+:"), path):
                values |= {name: value for name, value in changes.items() if name in values}
                break
        return Scheme(values["bits"], values["group_size"], values["sym"], self.desc_act,
                      FORMATS[self.format])


def left_plain(name: str) -> str:
    """How GPTQModel's `dynamic` says that a layer is not quantized."""
    return f"-:^{name.replace('.', chr(92) + '.')}$"


class GPTQ:
    """Makes the layers of a GPTQ checkpoint: those that have its tensors."""

    def __init__(self, config: GPTQConfig) -> None:
        self.config = config

    def layer(self, path: str, linear: nn.Linear, held: Collection[str]) -> GPTQLinear | None:
        """A quantized layer where the checkpoint has quantized tensors."""
        if {"qweight", "qzeros", "scales", "g_idx"}.isdisjoint(held):
            if not self.config.stored:
                raise NotImplementedError(CALIBRATE.format("GPTQConfig", "gptq"))
            return None
        return GPTQLinear(linear, self.config.scheme(path), path, held)


CONFIG, method = GPTQConfig, GPTQ
