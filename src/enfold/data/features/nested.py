"""Columns of lists: `List`, `LargeList`, `Sequence`; and of translations.

A dict of features is a column of structs; `[feature]` is short for `List(feature)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.features.errors import FeatureError
from enfold.data.features.value import Value
from enfold.errors import nearest


class Sequence:
    """`List(feature)`; of a dict of features, the dict of their lists (as in TFDS)."""

    def __new__(cls, feature: Any = None, length: int = -1, **kwargs: Any) -> Any:
        if cls is Sequence and isinstance(feature, dict) \
                and not all(isinstance(inner, List) for inner in feature.values()):
            return {name: List(inner, length, **kwargs) for name, inner in feature.items()}
        return super().__new__(List)


@dataclass(repr=False)
class List(Sequence):
    """Lists of `feature`, all of `length` items if it is given; 32-bit offsets."""

    feature: Any
    length: int = -1
    id: str | None = field(default=None, repr=False)
    pa_type: ClassVar[Any] = None
    _type: str = field(default="List", init=False, repr=False)

    def __repr__(self) -> str:
        length = "" if self.length == -1 else f", length={self.length}"
        return f"{type(self).__name__}({self.feature}{length})"


@dataclass(repr=False)
class LargeList:
    """Lists of `feature` with 64-bit offsets: more than 2**31 items in one chunk."""

    feature: Any
    id: str | None = field(default=None, repr=False)
    pa_type: ClassVar[Any] = None
    _type: str = field(default="LargeList", init=False, repr=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.feature})"


@dataclass
class Translation:
    """A text in each of `languages`: {"en": "the cat", "fr": "le chat"}."""

    languages: list[str]
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "dict"
    pa_type: ClassVar[Any] = None
    _type: str = field(default="Translation", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return pa.struct({language: pa.string() for language in sorted(self.languages)})

    def flatten(self) -> dict[str, Any]:
        """A column per language."""
        return {language: Value("string") for language in sorted(self.languages)}


@dataclass
class TranslationVariableLanguages:
    """Texts in some of `languages` (None: in any), one or several in each.

    In: {"en": "the cat", "fr": ["le chat", "la chatte"]}.  Stored, sorted by language:
    {"language": ["en", "fr", "fr"], "translation": ["the cat", "la chatte", "le chat"]}.
    """

    languages: list[str] | None = None
    num_languages: int | None = None
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "dict"
    pa_type: ClassVar[Any] = None
    _type: str = field(default="TranslationVariableLanguages", init=False, repr=False)

    def __post_init__(self) -> None:
        self.languages = sorted(set(self.languages)) if self.languages else None
        self.num_languages = len(self.languages) if self.languages else None

    def __call__(self) -> pa.DataType:
        texts = pa.list_(pa.string())
        return pa.struct({"language": texts, "translation": texts})

    def encode_example(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The stored form of {language: text or texts}; what has that form stays as it is."""
        if set(value) == {"language", "translation"}:
            return value
        if self.languages and (unknown := sorted(set(value) - set(self.languages))):
            raise FeatureError(f"TranslationVariableLanguages: got the languages {unknown}"
                               f"{nearest(unknown[0], self.languages)}. Expected some of "
                               f"{self.languages}")
        pairs = sorted((language, text) for language, texts in value.items()
                       for text in ([texts] if isinstance(texts, str) else texts))
        return {"language": tuple(language for language, _ in pairs),
                "translation": tuple(text for _, text in pairs)}

    def flatten(self) -> dict[str, Any]:
        """A column of languages and a column of texts."""
        return {"language": List(Value("string")), "translation": List(Value("string"))}


