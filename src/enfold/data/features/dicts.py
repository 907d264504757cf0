"""Features as the dicts that dataset_info.json and Arrow's metadata hold.

    Value("int32")          {"dtype": "int32", "_type": "Value"}
    List(Value("int32"))    {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"}
    {"a": Value("int32")}   {"a": {"dtype": "int32", "_type": "Value"}}

Parameters at their defaults are left out.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Any

from enfold.data.features import arrays, audio, documents, image, jsons, labels, nested, value
from enfold.data.features.arrow import Feature
from enfold.data.features.errors import FeatureError
from enfold.errors import nearest

FEATURE_TYPES: dict[str, type] = {kind.__name__: kind for kind in (
    value.Value, labels.ClassLabel, nested.Translation, nested.TranslationVariableLanguages,
    nested.LargeList, nested.List, *arrays.ARRAYS.values(), audio.Audio, image.Image,
    documents.Mesh, documents.Video, documents.Pdf, documents.Nifti, documents.BioSequence,
    documents.BioStructure, jsons.Json)}


def register_feature(feature_cls: type, feature_type: str) -> None:
    """Make `feature_type` the name of a dataclass of one's own in these dicts."""
    FEATURE_TYPES[feature_type] = feature_cls


def feature_to_dict(feature: Feature) -> Any:
    """The dict of a feature."""
    if is_dataclass(feature) and not isinstance(feature, type):
        parameters = ((part, feature_to_dict(getattr(feature, part.name)))
                      for part in fields(feature))
        return {part.name: inner for part, inner in parameters
                if not part.init or inner != part.default}
    if isinstance(feature, dict):
        return {name: feature_to_dict(inner) for name, inner in feature.items()}
    if isinstance(feature, (list, tuple)):
        return type(feature)(feature_to_dict(inner) for inner in feature)
    return deepcopy(feature)


def feature_from_dict(encoded: Any) -> Feature:
    """The feature of a dict; parameters that its class does not have are dropped."""
    if isinstance(encoded, list):
        return [feature_from_dict(inner) for inner in encoded]
    if not isinstance(encoded, dict):
        raise FeatureError(f"Features.from_dict: got {encoded!r}. Expected a dict with a '_type', "
                           "or a dict or list of such dicts")
    kind = encoded.get("_type")
    if kind is None or isinstance(kind, dict):  # a column may be named "_type"
        return {name: feature_from_dict(inner) for name, inner in encoded.items()}
    rest = {name: inner for name, inner in encoded.items() if name != "_type"}
    if kind == "Sequence":  # what datasets < 4 wrote
        return nested.Sequence(feature_from_dict(rest.pop("feature")), **rest)
    found = FEATURE_TYPES.get(kind)
    if found is None:
        raise FeatureError(f"Features.from_dict: no feature is named {kind!r}"
                           f"{nearest(str(kind), FEATURE_TYPES)}. Expected one of "
                           f"{', '.join(FEATURE_TYPES)}. Do: register_feature(YourClass, {kind!r})")
    if found in (nested.List, nested.LargeList):
        rest["feature"] = feature_from_dict(rest["feature"])
    known = {part.name for part in fields(found) if part.init}
    return found(**{name: inner for name, inner in rest.items() if name in known})
