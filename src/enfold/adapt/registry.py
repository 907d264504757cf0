"""The methods: PeftType -> its configuration and what builds it.

    METHODS[PeftType.LORA] = Method(LoraConfig, lora)          one line per method, in its file

`build(layer, name, config, path)` makes a `Delta` for one layer of the base model.  A method's file
is loaded when the method is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import nn

from enfold.adapt.config import PeftConfig, PeftType
from enfold.errors import ConfigError, nearest

if TYPE_CHECKING:
    from enfold.adapt.layer import Delta

Build = Callable[[Any, str, Any, str], "Delta"]


@dataclass(frozen=True, slots=True)
class Method:
    """A method.

    build: None for methods on the inputs.  defaults: the ends of our names of the layers it acts
    on when target_modules is None.  layers: the kinds of layers it can act on.
    """

    config: type[PeftConfig]
    build: Build | None = None
    defaults: tuple[str, ...] = ("attn.q", "attn.v", "attn.qkv", "cross.q", "cross.v")
    layers: tuple[type[nn.Module], ...] = (nn.Linear, nn.Embedding)


METHODS: dict[PeftType, Method] = {}
FILES = {
    PeftType.LORA: "lora.delta", PeftType.IA3: "ia3",
}


def get_method(kind: Any, source: str = "peft_type") -> Method:
    """The method that a file or a configuration names."""
    if kind in FILES:
        import_module(f"enfold.adapt.{FILES[kind]}")
    found = METHODS.get(kind)
    if found is None:
        raise ConfigError(f"{source}: peft_type is {kind!r}, expected one of "
                          f"{', '.join(FILES)}{nearest(str(kind), FILES)}. Do: train again "
                          "with one of these")
    return found
