"""A recipe: what its file says, checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from inspect import signature
from pathlib import Path
from typing import Any

from enfold.adapt import LoraConfig
from enfold.data.load import load_dataset
from enfold.errors import ConfigError, nearest, unknown_arguments
from enfold.train.arguments import Seq2SeqTrainingArguments, TrainingArguments
from enfold.train.arguments.older import OLDER
from enfold.train.recipes.reading import blamed, read_mapping
from enfold.train.recipes.tasks import TASKS, Task

SECTIONS = ("task", "model", "data", "adapter", "training", "output")
REQUIRED = ("task", "model", "data", "output")
MODEL = ("name", "tokenizer", "revision", "subfolder", "cache_dir", "token", "local_files_only",
         "dtype")
SPLITS = {"train_split": "train", "eval_split": None}
METHODS = ("none", "lora")
ELSEWHERE = {"output_dir": "say `output:` beside `training:`",
             "push_to_hub": "train, look at it, and push the folder afterwards"}


@dataclass(frozen=True)
class Recipe:
    """What a file asks for.

    model: `name` and arguments of from_pretrained.  data: columns, splits and settings of the task.
    load: arguments of load_dataset.  adapter: arguments of LoraConfig and `merge`, or None.
    """

    source: str
    task: Task
    model: dict[str, Any]
    data: dict[str, Any]
    load: dict[str, Any]
    adapter: dict[str, Any] | None
    training: dict[str, Any]
    output: str

    def arguments(self) -> TrainingArguments:
        """The TrainingArguments."""
        kind = _arguments_of(self.task)
        with blamed(f"{self.source}: training"):
            return kind(self.output, **self.training)


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read and check a .yaml, .yml or .json file; paths in it are relative to where one stands."""
    source = os.fspath(path)
    values = read_mapping(Path(source))
    _check_keys(source, values, SECTIONS)
    for name in REQUIRED:
        if values.get(name) is None:
            raise ConfigError(f"{source} has no {name!r}, expected {', '.join(REQUIRED)}. Do: see "
                              "enfold train --example text-classification")
    task = _task(source, values["task"])
    own, load = _data(source, task, _section(source, "data", values["data"], "path"))
    return Recipe(source, task, _model(source, values["model"]), own, load,
                  _adapter(source, values.get("adapter")),
                  _training(source, task, values.get("training")), str(values["output"]))


def _task(source: str, name: Any) -> Task:
    if name not in TASKS:
        raise ConfigError(f"{source}: task is {name!r}{nearest(str(name), TASKS)}, expected one of "
                          f"{', '.join(TASKS)}")
    return TASKS[name]


def _model(source: str, given: Any) -> dict[str, Any]:
    values = _section(source, "model", given, "name")
    _check_keys(f"{source}: model", values, MODEL)
    if "name" not in values:
        raise ConfigError(f"{source}: model has no 'name'. Do: name a folder or a repository")
    return values


def _data(source: str, task: Task, values: dict[str, Any]
          ) -> tuple[dict[str, Any], dict[str, Any]]:
    """The task's own settings, and the arguments of load_dataset."""
    if "path" not in values:
        raise ConfigError(f"{source}: data has no 'path'. Do: give a format such as csv (with "
                          "data_files), a folder, or a repository of datasets")
    for name, remedy in (("split", "use train_split and eval_split"),
                         ("streaming", "leave it out: data is read from disk as it is needed")):
        if name in values:
            raise ConfigError(f"{source}: data: {name!r} can't be used in a recipe. Do: {remedy}")
    defaults = SPLITS | task.columns | task.settings
    known = {name for name in signature(load_dataset).parameters if name != "config_kwargs"}
    misspelt = [name for name in values if name not in known and name not in defaults
                and nearest(name, defaults)]
    if misspelt:  # other names may be options of the format: load_dataset looks at those
        raise unknown_arguments(f"{source}: data", misspelt, {*known, *defaults})
    own = {name: values.get(name, default) for name, default in defaults.items()}
    return own, {name: value for name, value in values.items() if name not in defaults}


def _adapter(source: str, given: Any) -> dict[str, Any] | None:
    values = _section(source, "adapter", "none" if given is None else given, "method")
    method = values.pop("method", "lora")
    if method not in METHODS:
        raise ConfigError(f"{source}: adapter: method is {method!r}, expected one of "
                          f"{', '.join(METHODS)}. Do: give one; other methods are in enfold.adapt")
    known = {field.name for field in fields(LoraConfig)} - {"task_type", "peft_type"}
    _check_keys(f"{source}: adapter", values, {*known, "method", "merge"})
    if method == "none" and values:
        raise ConfigError(f"{source}: adapter: method is none, and {', '.join(values)} would have "
                          "no effect. Do: leave it out, or method: lora")
    return None if method == "none" else values


def _training(source: str, task: Task, given: Any) -> dict[str, Any]:
    values = {} if given is None else _section(source, "training", given)
    for name, remedy in ELSEWHERE.items():
        if values.get(name):
            raise ConfigError(f"{source}: training: {name!r} can't be used in a recipe. Do: "
                              f"{remedy}")
    kind = _arguments_of(task)
    known = {field.name for field in fields(kind) if field.init} - {"output_dir"}
    _check_keys(f"{source}: training", values, known | {*OLDER})
    # YAML reads `no` as false
    return {name: "no" if value is False and name.endswith("_strategy") else value
            for name, value in values.items()}


def _arguments_of(task: Task) -> type[TrainingArguments]:
    return Seq2SeqTrainingArguments if task.generates else TrainingArguments


def _section(source: str, name: str, given: Any, first: str = "") -> dict[str, Any]:
    """A section's keys and values; a word alone is the value of `first`."""
    if isinstance(given, str) and first:
        return {first: given}
    if not isinstance(given, Mapping):
        what = "a name or keys" if first else "keys"
        raise ConfigError(f"{source}: {name} is {given!r}, expected {what} and values")
    return dict(given)


def _check_keys(where: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
    known = set(known)
    if unknown := [str(name) for name in values if name not in known]:
        raise unknown_arguments(where, unknown, known)
