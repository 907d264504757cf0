"""Auto classes: the family comes from the checkpoint's config.json, the head from the Auto class.

No torch at import: AutoConfig needs none, AutoModel... load it when they make a model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.config import Config
from enfold.errors import ConfigError, FileMissing, InputError
from enfold.files import HubOptions, resolve
from enfold.models.configs import PreTrainedConfig, auto_config, config_class, read_values
from enfold.models.registry import FAMILIES, find_architecture, get_family

if TYPE_CHECKING:
    from enfold.model.base import PreTrainedModel

PathLike = str | os.PathLike[str]
ADAPTER = "adapter_config.json"


class AutoConfig:
    """The configuration of any family."""

    def __init__(self) -> None:
        raise TypeError("AutoConfig is not made directly. Do: AutoConfig.from_pretrained(name) or "
                        "for_model(type)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, *,
                        return_unused_kwargs: bool = False, trust_remote_code: bool = False,
                        **kwargs: Any) -> Any:
        """Read config.json, or the metadata of `gguf_file`; further arguments set attributes."""
        options = HubOptions.pop(kwargs)
        name = str(pretrained_model_name_or_path)
        config = auto_config(read_values(pretrained_model_name_or_path, options,
                                         kwargs.pop("gguf_file", None)), name)
        known = config.known()
        unused = {key: kwargs.pop(key) for key in list(kwargs) if key not in known}
        if unused and not return_unused_kwargs:
            kwargs |= unused
        config.update(kwargs)
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def for_model(cls, model_type: str, **values: Any) -> PreTrainedConfig:
        """A new config of a family."""
        return config_class(model_type)(**values)


class _AutoModel:
    """One head over all families: the suffixes of its classes, the first that a family has wins."""

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        name = type(self).__name__
        raise TypeError(f"{name} is not made directly. Do: {name}.from_pretrained(name) or "
                        "from_config(config)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, *args: Any,
                        **kwargs: Any) -> Any:
        """A checkpoint's model with this head; arguments as `PreTrainedModel.from_pretrained`.

        Of an adapter's folder or repository: its base model with the adapter on it.
        """
        if args:
            raise TypeError(f"{cls.__name__}.from_pretrained takes one positional argument, the "
                            "name or path")
        adapter = find_adapter(pretrained_model_name_or_path, kwargs)
        if adapter is not None:
            model, where = base_of(cls, adapter, pretrained_model_name_or_path, kwargs)
            model.load_adapter(pretrained_model_name_or_path, **asdict(where))
            return model
        config = kwargs.get("config")
        if not isinstance(config, Config):
            hub = HubOptions.pop(dict(kwargs))
            source = pretrained_model_name_or_path if config is None else config
            gguf = kwargs.get("gguf_file") if config is None else None
            config = auto_config(read_values(source, hub, gguf), str(source))
            kwargs["config"] = config
        return cls.class_for(config).from_pretrained(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_config(cls, config: Config, **kwargs: Any) -> Any:
        """A model with this head and fresh weights."""
        return cls.class_for(config)._from_config(config, **kwargs)

    @classmethod
    def class_for(cls, config: Config) -> type[PreTrainedModel]:
        """The class of this head for the family of a config; ConfigError if the family has none."""
        from enfold.model.classes import model_class

        family = get_family(config.model_type)
        for suffix in cls.suffixes:
            if suffix in family.heads:
                return model_class(config.model_type, suffix)
        raise ConfigError(f"{cls.__name__}: the family {config.model_type!r} has no such head. It "
                          f"has: {', '.join(family.title + suffix for suffix in family.heads)}. "
                          f"Families that do: {', '.join(cls.families())}")

    @classmethod
    def families(cls) -> list[str]:
        """The model_types that have this head."""
        return [kind for kind in FAMILIES if any(suffix in get_family(kind).heads
                                                 for suffix in cls.suffixes)]


def _auto(name: str, *suffixes: str) -> type[_AutoModel]:
    doc = f"A model of any family as {', '.join(suffixes)}."
    return type(name, (_AutoModel,), {"suffixes": suffixes, "__module__": __name__, "__doc__": doc})


AutoModel = _auto("AutoModel", "Model")
AutoModelForCausalLM = _auto("AutoModelForCausalLM", "ForCausalLM", "LMHeadModel")
AutoModelForMaskedLM = _auto("AutoModelForMaskedLM", "ForMaskedLM", "ForConditionalGeneration")
AutoModelForSeq2SeqLM = _auto("AutoModelForSeq2SeqLM", "ForConditionalGeneration", "MTModel")
AutoModelForSequenceClassification = _auto("AutoModelForSequenceClassification",
                                           "ForSequenceClassification")
AutoModelForTokenClassification = _auto("AutoModelForTokenClassification", "ForTokenClassification")
AutoModelForQuestionAnswering = _auto("AutoModelForQuestionAnswering", "ForQuestionAnswering")
AutoModelForMultipleChoice = _auto("AutoModelForMultipleChoice", "ForMultipleChoice")
AutoModelForNextSentencePrediction = _auto("AutoModelForNextSentencePrediction",
                                           "ForNextSentencePrediction")
AutoModelForTextEncoding = _auto("AutoModelForTextEncoding", "EncoderModel", "Model")
AutoModelForPreTraining = _auto("AutoModelForPreTraining", "ForPreTraining",
                                "ForConditionalGeneration", "MTModel", "ForMaskedLM", "ForCausalLM",
                                "LMHeadModel")


class AutoPeftModel:
    """A PeftModel of an adapter's folder or repository: the base model comes from its config."""

    auto: ClassVar[type[_AutoModel] | None] = None

    def __init__(self) -> None:
        name = type(self).__name__
        raise TypeError(f"{name} is not made directly. Do: {name}.from_pretrained(name)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, adapter_name: str = "default",
                        is_trainable: bool = False, config: Any = None, **kwargs: Any) -> Any:
        """Load the base model and the adapter; further arguments are the base model's.

        config: an adapter's configuration instead of the file's.  Embeddings that were resized
        before training are resized here.
        """
        from enfold.adapt import PeftModel

        name = pretrained_model_name_or_path
        adapter = config or find_adapter(name, kwargs, search=True)
        if adapter is None:
            raise FileMissing(f"{name} has no adapter_config.json. Do: give a folder or repository "
                              "of an adapter, or load the model with AutoModel")
        model, where = base_of(cls.auto or _head_for(adapter), adapter, name, kwargs)
        return PeftModel.from_pretrained(model, name, adapter_name, is_trainable, config,
                                         **asdict(where))


def find_adapter(name: PathLike, kwargs: Mapping[str, Any], *, search: bool = False) -> Any:
    """The adapter's configuration of a folder or repository; None if it has none.

    A repository is asked if it has no config.json, or with `search`.
    """
    if not isinstance(name, (str, os.PathLike)):
        return None  # who loads the model says what is wrong
    folder, hub = Path(name), HubOptions.pop(dict(kwargs))
    if folder.is_dir():
        held = (folder / hub.subfolder / ADAPTER).is_file()
    elif search or (kwargs.get("config") is None
                    and resolve(name, "config.json", **asdict(hub), required=False) is None):
        held = resolve(name, ADAPTER, **asdict(hub), required=False) is not None
    else:
        held = False
    if not held:
        return None
    from enfold.adapt import PeftConfig

    return PeftConfig.from_pretrained(name, **asdict(hub))


def base_of(head: type[_AutoModel], adapter: Any, name: PathLike,
            kwargs: dict[str, Any]) -> tuple[Any, HubOptions]:
    """(the base model that an adapter names, where the adapter's files are)."""
    from enfold.adapt.files import brought, fit_embeddings, read_adapter
    from enfold.adapt.headless import without_head
    from enfold.adapt.labels import read_labels
    from enfold.weights.awaited import awaiting

    if not adapter.base_model_name_or_path:
        raise ConfigError(f"{name}: adapter_config.json has no base_model_name_or_path. Do: load "
                          "the base model, then PeftModel.from_pretrained(model, folder)")
    if kwargs.pop("output_loading_info", False):
        raise InputError(f"{name} is an adapter, which has no loading info. Do: load the base "
                         f"model {adapter.base_model_name_or_path} with output_loading_info=True, "
                         "then model.load_adapter(...)")
    where = HubOptions.pop(kwargs)
    hub = asdict(where) | {"revision": adapter.revision, "subfolder": ""}
    if not {"config", "num_labels", "id2label"} & kwargs.keys():
        labels = read_labels(name, where)
        kwargs |= {} if labels is None else {"id2label": labels}
    tensors = read_adapter(name, where)
    with awaiting(brought(tensors)):
        model = head.from_pretrained(adapter.base_model_name_or_path, **kwargs, **hub)
    fit_embeddings(model, without_head(model, adapter, tensors)[1])
    return model, where


def _head_for(adapter: Any) -> type[_AutoModel]:
    """The Auto class for the task of an adapter, or for the class of its base model."""
    if adapter.task_type is not None:
        return TASKS[adapter.task_type]
    title = (adapter.auto_mapping or {}).get("base_model_class", "")
    found = find_architecture(title)
    if found is None:
        raise ConfigError("adapter_config.json has neither a task_type nor a base_model_class "
                          f"known here, got {title!r}. Do: use AutoPeftModelForCausalLM or "
                          "another one of a task")
    return type(title, (_AutoModel,), {"suffixes": (found[1],)})


TASKS = {"CAUSAL_LM": AutoModelForCausalLM, "SEQ_2_SEQ_LM": AutoModelForSeq2SeqLM,
         "SEQ_CLS": AutoModelForSequenceClassification,
         "TOKEN_CLS": AutoModelForTokenClassification,
         "QUESTION_ANS": AutoModelForQuestionAnswering, "FEATURE_EXTRACTION": AutoModel}


def _auto_peft(auto: type[_AutoModel]) -> type[AutoPeftModel]:
    name = auto.__name__.replace("AutoModel", "AutoPeftModel")
    doc = f"A PeftModel on {auto.__name__}."
    return type(name, (AutoPeftModel,), {"auto": auto, "__module__": __name__, "__doc__": doc})


AutoPeftModelForCausalLM = _auto_peft(AutoModelForCausalLM)
AutoPeftModelForSeq2SeqLM = _auto_peft(AutoModelForSeq2SeqLM)
AutoPeftModelForSequenceClassification = _auto_peft(AutoModelForSequenceClassification)
AutoPeftModelForTokenClassification = _auto_peft(AutoModelForTokenClassification)
AutoPeftModelForQuestionAnswering = _auto_peft(AutoModelForQuestionAnswering)


class AutoPeftModelForFeatureExtraction(AutoPeftModel):
    """A PeftModel on AutoModel."""

    auto = AutoModel


def architecture_class(name: str) -> Any:
    """The class of a generated public name (`BertModel`, `BertConfig`); None if there is none."""
    found = find_architecture(name)
    if found is None:
        return None
    kind, suffix = found
    if suffix == "Config":
        return config_class(kind)
    from enfold.model.classes import model_class

    return model_class(kind, suffix)
