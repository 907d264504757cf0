"""The methods: PeftType -> its configuration and what builds it.

    METHODS[PeftType.LORA] = Method(LoraConfig, lora)          one line per method, in its file

`build(layer, name, config, path)` makes a `Delta` for one layer of the base model.  A method's file
is loaded when the method is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from enfold.adapt.config import PeftConfig, PeftType
from enfold.errors import ConfigError, nearest

if TYPE_CHECKING:
    from enfold.adapt.layer import Delta

Build = Callable[[Any, str, Any, str], "Delta"]


@dataclass(frozen=True, slots=True)
class Method:
    """A method.

    build: None for methods on the inputs, which have `tokens` instead, the class of their virtual
    tokens.  stacked: builds a `Delta` for a parameter, where the method has target_parameters.
    defaults: the ends of our names of the layers it acts on when target_modules is None.
    layers: the kinds of layers it can act on.  shared: makes what all its layers share, part ->
    tensor, of the configuration and the layers; saves_shared: whether that is in the file.
    penalty: what its layers add to the loss in training.  after_step(config, deltas, step): what is
    done after each step of the optimizer; state(config, deltas), load_state(config, deltas, state):
    what a checkpoint of training keeps of that.
    """

    config: type[PeftConfig]
    build: Build | None = None
    stacked: Build | None = None
    defaults: tuple[str, ...] = ("attn.q", "attn.v", "attn.qkv", "cross.q", "cross.v")
    layers: tuple[type[nn.Module], ...] = (nn.Linear, nn.Embedding)
    tokens: Any = None
    shared: Callable[[Any, Mapping[str, nn.Module]], dict[str, Tensor]] | None = None
    saves_shared: Callable[[Any], bool] = bool
    penalty: Callable[[list[Any]], Tensor] | None = None
    after_step: Callable[[Any, list[Any], int], None] | None = None
    state: Callable[[Any, list[Any]], dict[str, Any]] | None = None
    load_state: Callable[[Any, list[Any], dict[str, Any]], None] | None = None


METHODS: dict[PeftType, Method] = {}
FILES = {
    PeftType.LORA: "lora.delta", PeftType.IA3: "ia3", PeftType.PROMPT_TUNING: "prompts.run",
    PeftType.PREFIX_TUNING: "prompts.run", PeftType.P_TUNING: "prompts.run",
    PeftType.BOTTLENECK: "bottleneck", PeftType.LOHA: "loha", PeftType.LOKR: "lokr",
    PeftType.VERA: "vera", PeftType.ADALORA: "adalora.delta", PeftType.OFT: "oft",
}


def get_method(kind: Any, source: str = "peft_type") -> Method:
    """The method that a file or a configuration names."""
    if kind in FILES and kind not in METHODS:
        import_module(f"enfold.adapt.{FILES[kind]}")
    found = METHODS.get(kind)
    if found is None:
        raise ConfigError(f"{source}: peft_type is {kind!r}, expected one of "
                          f"{', '.join(FILES)}{nearest(str(kind), FILES)}. Do: train again "
                          "with one of these")
    return found
