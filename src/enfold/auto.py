"""Auto classes: the family comes from the checkpoint's config.json, the head from the Auto class.

No torch at import: AutoConfig needs none, AutoModel... load it when they make a model.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.config import Config
from enfold.errors import ConfigError
from enfold.files import HubOptions
from enfold.models.configs import PreTrainedConfig, auto_config, config_class, read_values
from enfold.models.registry import FAMILIES, find_architecture, get_family

if TYPE_CHECKING:
    from enfold.model.base import PreTrainedModel

PathLike = str | os.PathLike[str]


class AutoConfig:
    """The configuration of any family."""

    def __init__(self) -> None:
        raise TypeError("AutoConfig is not made directly. Do: AutoConfig.from_pretrained(name) or "
                        "for_model(type)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, *,
                        return_unused_kwargs: bool = False, trust_remote_code: bool = False,
                        **kwargs: Any) -> Any:
        """Read config.json; further arguments set attributes."""
        options = HubOptions.pop(kwargs)
        name = str(pretrained_model_name_or_path)
        config = auto_config(read_values(pretrained_model_name_or_path, options), name)
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
        """A checkpoint's model with this head; arguments as `PreTrainedModel.from_pretrained`."""
        if args:
            raise TypeError(f"{cls.__name__}.from_pretrained takes one positional argument, the "
                            "name or path")
        config = kwargs.get("config")
        if not isinstance(config, Config):
            hub = HubOptions.pop(dict(kwargs))
            source = pretrained_model_name_or_path if config is None else config
            config = auto_config(read_values(source, hub), str(source))
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
