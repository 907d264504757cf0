"""The classes by their public names, generated from the pages: `BertForMaskedLM` and so on."""

from __future__ import annotations

from functools import cache

from enfold.model.base import PreTrainedModel
from enfold.model.encdec import EncDecModel
from enfold.model.stack import StackModel
from enfold.models.configs import config_class
from enfold.models.registry import find_architecture, get_family


@cache
def model_class(model_type: str, suffix: str) -> type[PreTrainedModel]:
    """The class of one architecture of a family."""
    family = get_family(model_type)
    arch = family.heads[suffix]
    two = bool(family.defaults.get("is_encoder_decoder")) and not arch.part
    return type(family.title + suffix, (EncDecModel if two else StackModel,), {
        "model_type": model_type, "suffix": suffix, "config_class": config_class(model_type),
        "base_model_prefix": family.prefix, "__module__": "enfold",
        "__doc__": f"{family.title} with its head for {suffix}. See "
                   "`enfold.model.base.PreTrainedModel`."})


def class_by_name(name: str) -> type[PreTrainedModel] | None:
    """The class called `name`, or None."""
    found = find_architecture(name)
    return model_class(*found) if found and found[1] != "Config" else None


def base_class(model: PreTrainedModel) -> type[PreTrainedModel] | None:
    """The class of a model without its head; None if such a thing has no class of its own."""
    family = get_family(model.model_type)
    part = family.heads[model.suffix].part
    bare = [suffix for suffix, arch in family.heads.items() if arch.part == part
            and suffix.endswith("Model")
            and type(arch.head).__name__ == "Base"]
    return model_class(model.model_type, bare[0]) if bare else None
