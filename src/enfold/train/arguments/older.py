"""Older spellings of arguments: each is one line of a table and maps to the value of a newer name.

They are taken by the constructor and on the command line, and read and written as attributes; the
dataclass has the newer names only, so `dataclasses.replace` and `to_dict` know one value each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enfold.errors import InputError, unknown_arguments
from enfold.train.arguments.limits import HELD, RETIRED, check_limits

BELOW_ONE = 1 - 2**-53  # all steps, as a fraction: 1.0 would mean one step


def same(value: Any) -> Any:
    """Both spellings take the same values."""
    return value


@dataclass(frozen=True)
class Older:
    """One older spelling: what it means in the newer one, and how it reads back from that."""

    new: str
    kind: type
    default: Any = None
    to_new: Callable[[Any], Any] = same
    to_old: Callable[[Any], Any] = same

    @property
    def unset(self) -> tuple[Any, ...]:
        """Values that say nothing: they give way to the newer spelling."""
        return (None, self.default)


def _if_true(word: str) -> Callable[[Any], Any]:
    return lambda value: word if value else None


def _is(word: str) -> Callable[[Any], bool]:
    return lambda value: value == word


def _setting(key: str) -> Callable[[Any], Any]:
    return lambda config: config.get(key) if isinstance(config, Mapping) else None


def _as_setting(key: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {key: value}


OLDER: dict[str, Older] = {
    "evaluation_strategy": Older("eval_strategy", str),
    "warmup_ratio": Older(
        "warmup_steps",
        float,
        0.0,
        lambda ratio: min(ratio, BELOW_ONE),
        lambda steps: steps if 0 < steps < 1 else 0.0,
    ),
    "no_cuda": Older("use_cpu", bool, False),
    "per_gpu_train_batch_size": Older("per_device_train_batch_size", int),
    "per_gpu_eval_batch_size": Older("per_device_eval_batch_size", int),
    "gradient_checkpointing": Older("activation_checkpointing", bool),
    "gradient_checkpointing_kwargs": Older("activation_checkpointing_kwargs", dict),
    "torchdynamo": Older("torch_compile_backend", str),
    "adafactor": Older("optim", bool, False, _if_true("adafactor"), _is("adafactor")),
    "group_by_length": Older(
        "train_sampling_strategy", bool, False, _if_true("group_by_length"), _is("group_by_length")
    ),
    "include_inputs_for_metrics": Older(
        "include_for_metrics",
        bool,
        False,
        lambda value: ["inputs"] if value else [],
        lambda names: "inputs" in names,
    ),
    "push_to_hub_token": Older("hub_token", str),
    "push_to_hub_model_id": Older("hub_model_id", str),
    "push_to_hub_organization": Older("hub_model_id", str),
    "fsdp_min_num_params": Older(
        "fsdp_config", int, 0, _as_setting("min_num_params"), _setting("min_num_params")
    ),
    "fsdp_transformer_layer_cls_to_wrap": Older(
        "fsdp_config",
        str,
        None,
        _as_setting("transformer_layer_cls_to_wrap"),
        _setting("transformer_layer_cls_to_wrap"),
    ),
}


class OlderNames(type):
    """The metaclass that lets a class of arguments take the older spellings of `OLDER`."""

    def __call__(cls, *args: Any, **given: Any) -> Any:
        """Construct from the newer names only."""
        known: Mapping[str, Any] = getattr(cls, "__dataclass_fields__", {})
        check_limits(cls.__name__, given)
        retired = {*RETIRED, *(HELD.keys() - known.keys())}
        given = {name: value for name, value in given.items() if name not in retired}
        folder = str(given.get("output_dir") or (args[0] if args else None) or "trainer_output")
        newer = translate(cls.__name__, _with_owner(given, folder), known)
        unknown = [name for name in newer if name not in known]
        if unknown and not _takes_any(cls):
            raise unknown_arguments(cls.__name__, unknown, [*known, *OLDER])
        return super().__call__(*args, **newer)


def _takes_any(owner: Any) -> bool:
    signature = inspect.signature(owner.__init__)
    kinds = (parameter.kind for parameter in signature.parameters.values())
    return inspect.Parameter.VAR_KEYWORD in kinds


def translate(owner: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with older spellings turned into newer ones; InputError where two contradict."""
    older = {name: value for name, value in given.items() if name in OLDER and name not in known}
    newer = {name: value for name, value in given.items() if name not in older}
    for name, value in older.items():
        rule = OLDER[name]
        if value in rule.unset:
            continue
        newer[rule.new] = _joined(owner, name, rule, value, newer.get(rule.new))
    return newer


def _joined(owner: str, name: str, rule: Older, value: Any, other: Any) -> Any:
    """The newer spelling's value, given `value` by its older one and perhaps `other` by itself."""
    wanted = rule.to_new(value)
    if isinstance(wanted, dict) and isinstance(other, dict) and rule.to_new is not same:
        clash = {key for key in wanted if key in other and other[key] != wanted[key]}
        if not clash:
            return {**other, **wanted}
    elif isinstance(wanted, list):
        return [*(other or []), *(word for word in wanted if word not in (other or []))]
    if other in (None, 0, wanted) and not isinstance(other, bool):
        return wanted
    if isinstance(other, bool) and other == wanted:
        return wanted
    raise InputError(
        f"{owner}: {name}={value!r} contradicts {rule.new}={other!r}: the two are one setting; "
        f"give {rule.new} only"
    )


def _with_owner(given: Mapping[str, Any], output_dir: str) -> dict[str, Any]:
    """`given` with push_to_hub_organization and push_to_hub_model_id joined to one name."""
    owner = given.get("push_to_hub_organization")
    rest = {name: value for name, value in given.items() if name != "push_to_hub_organization"}
    if owner is not None:
        name = given.get("push_to_hub_model_id") or Path(output_dir).name
        rest["push_to_hub_model_id"] = name if "/" in name else f"{owner}/{name}"
    return rest


def adopt_redeclared(args: Any) -> None:
    """Heed older names that a subclass declares as fields of its own, as many do."""
    for name in OLDER:
        if name in type(args).__dataclass_fields__ and vars(args).get(name) is not None:
            rule, value = OLDER[name], vars(args)[name]
            if value not in rule.unset:
                current = getattr(args, rule.new)
                fresh = None if current == _default(args, rule.new) else current
                setattr(args, rule.new, _joined(type(args).__name__, name, rule, value, fresh))


def _default(args: Any, name: str) -> Any:
    return type(args).__dataclass_fields__[name].default


def older_property(name: str) -> property:
    """An attribute that reads and writes the newer spelling's value."""
    rule = OLDER[name]

    def read(self: Any) -> Any:
        return rule.to_old(getattr(self, rule.new))

    def write(self: Any, value: Any) -> None:
        setattr(self, rule.new, rule.to_new(value))

    return property(read, write, doc=f"The older spelling of `{rule.new}`.")
