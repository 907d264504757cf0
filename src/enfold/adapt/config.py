"""Configurations of adapters: what adapter_config.json holds, in peft's names.

A method's configuration is a dataclass below `PeftConfig`, made by `@configuration`; `LayerConfig`
is for methods that act on layers of the base model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from enfold.errors import ConfigError, unknown_arguments
from enfold.files import HubOptions, read_json, resolve, write_json

PathLike = str | os.PathLike[str]
CONFIG = "adapter_config.json"
FORMAT = "0.21.0"  # the release of peft whose files these are
Made = TypeVar("Made", bound=type)


class PeftType(StrEnum):
    """The methods, as `peft_type` in a file names them."""

    LORA = "LORA"
    PREFIX_TUNING = "PREFIX_TUNING"
    PROMPT_TUNING = "PROMPT_TUNING"
    P_TUNING = "P_TUNING"
    IA3 = "IA3"
    ADALORA = "ADALORA"
    LOHA = "LOHA"
    LOKR = "LOKR"
    VERA = "VERA"
    OFT = "OFT"
    BOTTLENECK = "BOTTLENECK"


class TaskType(StrEnum):
    """What the base model is for."""

    SEQ_CLS = "SEQ_CLS"
    SEQ_2_SEQ_LM = "SEQ_2_SEQ_LM"
    CAUSAL_LM = "CAUSAL_LM"
    TOKEN_CLS = "TOKEN_CLS"
    QUESTION_ANS = "QUESTION_ANS"
    FEATURE_EXTRACTION = "FEATURE_EXTRACTION"


@dataclass_transform(field_specifiers=(field,))
def configuration(cls: Made) -> Made:
    """A dataclass that names what it does not know."""
    made: Any = dataclass(cls)
    inner, known = made.__init__, [f.name for f in fields(made)]

    @wraps(inner)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if unknown := [name for name in kwargs if name not in known]:
            raise unknown_arguments(cls.__name__, unknown, known)
        inner(self, *args, **kwargs)

    made.__init__ = init
    return made  # type: ignore[no-any-return]


@configuration
class PeftConfig:
    """What every method's configuration holds."""

    task_type: TaskType | str | None = None
    peft_type: PeftType | str | None = None
    auto_mapping: dict[str, Any] | None = None
    peft_version: str | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    inference_mode: bool = False

    METHOD: ClassVar[PeftType | None] = None
    NOT_BUILT: ClassVar[Mapping[str, str]] = {}  # fields: what to do instead
    LACKS: ClassVar[tuple[str, ...]] = ()  # fields that peft's class has not

    def __post_init__(self) -> None:
        self.peft_type = self.METHOD or self.peft_type
        self.peft_version = self.peft_version or FORMAT
        if self.task_type is not None and self.task_type not in list(TaskType):
            raise ConfigError(f"{type(self).__name__}: task_type is {self.task_type!r}, expected "
                              f"one of {', '.join(TaskType)}. Do: give one, or None")
        for name, remedy in self.NOT_BUILT.items():
            if getattr(self, name) != default(self, name):
                raise NotImplementedError(f"{type(self).__name__}: {name}="
                                          f"{getattr(self, name)!r} is not built. Do: {remedy}")

    @property
    def is_prompt_learning(self) -> bool:
        """Whether the method adds to the inputs and leaves the layers alone."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """The values as adapter_config.json has them."""
        return {name: sorted(value) if isinstance(value, set) else value
                for name, value in asdict(self).items()  # type: ignore[call-overload]
                if value is not None or name not in self.LACKS}

    def save_pretrained(self, save_directory: PathLike) -> None:
        """Write adapter_config.json."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG, self.to_dict())

    @property
    def usual(self) -> tuple[str, ...]:
        """The ends of our names of layers to act on without target_modules; empty: the method's."""
        return ()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **kwargs: Any) -> Any:
        """Read adapter_config.json of a folder or Hub repository; other arguments set fields.

        On `PeftConfig` itself the file's method decides the class.
        """
        options = HubOptions.pop(kwargs)
        path = resolve(pretrained_model_name_or_path, CONFIG, **asdict(options))
        assert path is not None  # resolve raises for a required file
        return cls.from_values({**read_json(path), **kwargs}, str(path))

    @classmethod
    def from_values(cls, values: Mapping[str, Any], source: str) -> Any:
        """The configuration with the values of a file."""
        from enfold.adapt.registry import get_method

        kind = values.get("peft_type")
        made = cls if cls.METHOD is not None else get_method(kind, source).config
        if kind != made.METHOD:
            raise ConfigError(f"{source}: peft_type is {kind!r}, expected {made.METHOD!r}. "
                              "Do: read it with PeftConfig.from_pretrained")
        known = {f.name for f in fields(made)}
        unknown = {name: value for name, value in values.items() if name not in known and value}
        if unknown:
            raise ConfigError(f"{source}: {made.__name__} does not know "
                              f"{', '.join(f'{k}={v!r}' for k, v in unknown.items())}, which a "
                              "newer peft wrote. Do: take them out if the adapter does not need "
                              "them")
        return made(**{name: value for name, value in values.items() if name in known})

    def copy(self) -> Self:
        """A configuration of its own with the same values."""
        import copy

        return copy.deepcopy(self)


@configuration
class LayerConfig(PeftConfig):
    """A method that acts on layers of the base model.

    target_modules: names or ends of names of layers, a regular expression for the whole name,
    "all-linear" (all but the head), or None for the method's usual ones.  exclude_modules: those
    that are not.  modules_to_save: layers that are trained and saved whole.  layers_to_transform:
    the numbers of blocks to act on, in the lists named `layers_pattern`.
    """

    target_modules: Any = None
    exclude_modules: Any = None
    modules_to_save: list[str] | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.target_modules = _as_set(self.target_modules)
        self.exclude_modules = _as_set(self.exclude_modules)
        if isinstance(self.target_modules, str):
            for name in ("layers_to_transform", "layers_pattern"):
                if getattr(self, name) is not None:
                    raise ConfigError(f"{type(self).__name__}: {name} goes with a list of "
                                      f"target_modules, got the string {self.target_modules!r}. "
                                      "Do: put the numbers into the regular expression")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ConfigError(f"{type(self).__name__}: layers_pattern={self.layers_pattern!r} "
                              "without layers_to_transform. Do: give the numbers of the blocks")


def default(config: PeftConfig, name: str) -> Any:
    """The default of a field."""
    spec = next(f for f in fields(config) if f.name == name)
    if spec.default is not MISSING:
        return spec.default
    return spec.default_factory() if spec.default_factory is not MISSING else None


def _as_set(value: Any) -> Any:
    return set(value) if isinstance(value, list | tuple) else value
