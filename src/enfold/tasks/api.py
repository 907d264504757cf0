"""`pipeline(...)`: a task's class with a loaded model and tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from enfold import files
from enfold.errors import ArgumentError, FileMissing, TaskError
from enfold.tasks import registry
from enfold.tasks.registry import Task

logger = logging.getLogger(__name__)


def pipeline(task: str | None = None, model: Any = None, config: Any = None, tokenizer: Any = None,
             feature_extractor: Any = None, image_processor: Any = None, processor: Any = None,
             framework: str | None = None, revision: str | None = None, use_fast: bool = True,
             token: str | bool | None = None, device: Any = None, device_map: Any = None,
             dtype: Any = None, trust_remote_code: bool | None = None,
             model_kwargs: Mapping[str, Any] | None = None, pipeline_class: Any = None,
             **kwargs: Any) -> Any:
    """A pipeline for `task`, ready to be called with texts.

    task            a name of `get_supported_tasks()`; None: what the model's card or head says
    model           a folder, a name on the Hub or a loaded model; None: the task's default model
    config, tokenizer   the same three ways; by default what lies beside the model
    revision        branch, tag or commit of `model`
    device          index (-1: CPU), name or `torch.device`; `device_map` as in `from_pretrained`
    dtype           of the weights, also as `torch_dtype`; by default the checkpoint's
    model_kwargs    more arguments for `from_pretrained`
    pipeline_class  a subclass of `Pipeline` in place of the task's own
    use_fast        taken for compatibility: there is one kind of tokenizer, it gives the same ids
    Other arguments are the pipeline's: `batch_size`, `progress` and the task's call arguments.

    Raises `TaskError` for an unknown task or a model without the head for it, `FileMissing` where a
    model can't be found, `ArgumentError` for an argument that nothing takes.
    """
    options = _loading(dict(model_kwargs or {}), revision, token, trust_remote_code, device_map,
                       kwargs.pop("torch_dtype", None) if dtype is None else dtype)
    if task is None:
        task = infer_task(model, config, options)
    entry, languages = registry.find(task)
    if model is None:
        model, tokenizer = load_default(entry, languages, tokenizer, config, options)
    elif isinstance(model, str) or hasattr(model, "__fspath__"):
        tokenizer = load_tokenizer(tokenizer, model, options)
        model = load_model(entry, model, config, options)
    else:
        tokenizer = load_tokenizer(tokenizer, config if isinstance(config, str) else None, options)
    chosen = pipeline_class or entry.load()
    return chosen(model, tokenizer, task=_specific(task, model), device=device, framework=framework,
                  feature_extractor=feature_extractor, image_processor=image_processor,
                  processor=processor, **kwargs)


def load_model(task: Task, source: Any, config: Any, options: Mapping[str, Any]) -> Any:
    """The model at `source` with the head that `task` needs."""
    if isinstance(config, str):
        config = registry.load_auto("AutoConfig").from_pretrained(config, **_where(options))
    given = {} if config is None else {"config": config}
    return registry.load_auto(task.auto).from_pretrained(source, **given, **options)


def load_tokenizer(tokenizer: Any, source: Any, options: Mapping[str, Any]) -> Any:
    """A tokenizer from an object, a name, a (name, arguments) pair, or beside the model."""
    more: Mapping[str, Any] = {}
    if isinstance(tokenizer, tuple):
        tokenizer, more = tokenizer
    if tokenizer is None:
        tokenizer = source
    if isinstance(tokenizer, str) or hasattr(tokenizer, "__fspath__"):
        auto = registry.load_auto("AutoTokenizer")
        return auto.from_pretrained(tokenizer, **{**_where(options), **more})
    return tokenizer


def infer_task(model: Any, config: Any, options: Mapping[str, Any]) -> str:
    """The task of a model: by its card, its class, or its config's `architectures`."""
    if model is None:
        raise TaskError("pipeline: neither a task nor a model was given. "
                        f"Do: name one of {', '.join(registry.get_supported_tasks())}")
    if not isinstance(model, str) and not hasattr(model, "__fspath__"):
        names = [type(model).__name__]
    else:
        tag = pipeline_tag(model, _where(options))
        if tag is not None:
            return tag
        auto = registry.load_auto("AutoConfig")
        found = auto.from_pretrained(model, **_where(options)) if config is None else config
        names = list(found.architectures or [])
    tasks = [task for task in map(registry.task_of_head, names) if task]
    if not tasks:
        raise TaskError(f"pipeline: can't tell the task of {model!r} from its classes {names}. "
                        f"Do: give task=, one of {', '.join(registry.get_supported_tasks())}")
    return tasks[0]


def pipeline_tag(source: Any, where: Mapping[str, Any]) -> str | None:
    """The task that the model's card names, if it is one of ours."""
    options = {name: value for name, value in where.items() if name != "trust_remote_code"}
    card = files.resolve(source, "README.md", required=False, **options)
    head = "" if card is None else card.read_text(encoding="utf-8").split("\n---", 1)[0]
    for line in head.splitlines():
        name, _, value = line.partition(":")
        if name == "pipeline_tag" and value.strip() in registry.get_supported_tasks():
            return value.strip()
    return None


def load_default(task: Task, languages: tuple[str, str] | None, tokenizer: Any, config: Any,
                 options: Mapping[str, Any]) -> tuple[Any, Any]:
    """The default model of a task, at its pinned revision, and its tokenizer."""
    name, commit = registry.default_model(task, languages)
    chosen = {"revision": commit, **options}
    logger.warning("pipeline: no model was given, %s at revision %s is used. Do: name both",
                   name, chosen["revision"])
    try:
        return load_model(task, name, config, chosen), load_tokenizer(tokenizer, name, chosen)
    except FileMissing as error:
        raise FileMissing(f"{task.name}: no model was given and the default, {name} at revision "
                          f"{chosen['revision']}, can't be had: {error} Do: give model=, a folder "
                          "that holds a model") from error


def _specific(task: str, model: Any) -> str:
    """For "translation" the config's own translation task, whose prefix and lengths it holds."""
    if task != "translation":
        return task
    own = [name for name in model.config.to_dict().get("task_specific_params") or {}
           if name.startswith("translation")]
    if own:
        logger.warning("pipeline: 'translation' is taken as %r. Do: name the languages", own[0])
    return own[0] if own else task


def _loading(options: dict[str, Any], revision: str | None, token: str | bool | None,
             trust_remote_code: bool | None, device_map: Any, dtype: Any) -> dict[str, Any]:
    """The arguments of `from_pretrained`."""
    for name, value in (("device_map", device_map), ("dtype", dtype)):
        if value is not None and {name, f"torch_{name}"} & options.keys():
            raise ArgumentError(f"pipeline: {name} is given twice, as an argument and in "
                                "model_kwargs. Do: leave one out")
    given = {"revision": revision, "token": token, "trust_remote_code": trust_remote_code,
             "device_map": device_map, "dtype": dtype}
    return options | {name: value for name, value in given.items() if value is not None}


def _where(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of `options` those that say where files are."""
    names = ("revision", "cache_dir", "token", "local_files_only", "subfolder", "force_download",
             "trust_remote_code")
    return {name: options[name] for name in names if name in options}
