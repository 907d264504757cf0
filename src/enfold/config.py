"""Config: a config.json as an attribute dictionary.

What was read is kept word for word, so saving writes back what was read plus the edits made since.
A lookup goes: the values read or set, what the family has `DERIVED` from others (Llama's
`head_dim`), its `DEFAULTS` (what `LlamaConfig()` means, and what old files lack), `GENERAL`.
`SYNONYMS` gives other names for a key (`hidden_size` for GPT-2's `n_embd`); reading or setting
either is the same.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from enfold.errors import ConfigError, nearest

GENERAL: dict[str, Any] = {
    "architectures": None, "output_hidden_states": False, "output_attentions": False,
    "return_dict": True, "use_return_dict": True, "is_encoder_decoder": False, "is_decoder": False,
    "add_cross_attention": False, "tie_word_embeddings": True, "problem_type": None,
    "use_cache": True, "chunk_size_feed_forward": 0, "pad_token_id": None, "bos_token_id": None,
    "eos_token_id": None, "sep_token_id": None, "decoder_start_token_id": None,
    "initializer_range": 0.02, "dtype": None, "name_or_path": "", "tokenizer_class": None,
    "task_specific_params": None, "prefix": None, "finetuning_task": None,
    "attn_implementation": None,
}  # fmt: skip
PRIVATE = ("name_or_path", "attn_implementation")  # of this process, never saved


class Config:
    """The configuration of a model.

    Values are read and set as attributes or items.  `num_labels`, `id2label` (integer keys) and
    `label2id` stay consistent with each other.  An unknown attribute raises `AttributeError` with
    the near names.
    """

    model_type: ClassVar[str] = ""
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    DERIVED: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    SYNONYMS: ClassVar[Mapping[str, str]] = {"torch_dtype": "dtype",
                                             "_name_or_path": "name_or_path",
                                             "_attn_implementation": "attn_implementation"}

    _values: dict[str, Any]
    _read: bool

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_read", False)
        values.pop("model_type", None)
        self.update(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **edits: Any) -> Self:
        """The config of a parsed config.json, kept word for word; `edits` are set on top."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"config.json holds a {type(values).__name__}, expected an object. "
                              "Do: check that it is a model's configuration")
        config = cls()
        object.__setattr__(config, "_read", True)
        config._values.update(copy.deepcopy(dict(values)))
        if "num_labels" in config._values and "id2label" not in config._values:
            config.num_labels = config._values.pop("num_labels")
        config.update(edits)
        return config

    # ---- reading ---------------------------------------------------------------------------------
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._lookup(name)
        if found is _ABSENT:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}"
                                 f"{nearest(name, self.known())}")
        return found

    def _lookup(self, name: str) -> Any:
        name = self.SYNONYMS.get(name, name)
        if name == "dtype" and "torch_dtype" in self._values:
            name = "torch_dtype"
        if name in self.DERIVED and self._values.get(name) is None:
            return self.DERIVED[name](self)
        for place in (self._values, self.DEFAULTS, GENERAL):
            if name in place:
                return place[name]
        return _ABSENT

    def get(self, name: str, default: Any = None) -> Any:
        """The value of `name`, or `default` where neither the file nor the family gives one."""
        found = getattr(self, name, _ABSENT) if name in _PROPERTIES else self._lookup(name)
        return default if found is _ABSENT or found is None else found

    def __getitem__(self, name: str) -> Any:
        found = getattr(self, name) if name in _PROPERTIES else self._lookup(name)
        if found is _ABSENT:
            raise KeyError(name)
        return found

    def __contains__(self, name: str) -> bool:
        return name in _PROPERTIES or self._lookup(name) is not _ABSENT

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def known(self) -> set[str]:
        """All names that this config answers to."""
        return {*self._values, *self.DEFAULTS, *self.DERIVED, *GENERAL, *self.SYNONYMS,
                *_PROPERTIES}

    def raw(self, name: str) -> Any:
        """What was read or set under this very name; None if nothing was."""
        return self._values.get(name)

    def given(self, name: str) -> bool:
        """Whether `name` was read from the file or set, rather than being a default."""
        return self.SYNONYMS.get(name, name) in self._values

    # ---- setting ---------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        key = self.SYNONYMS.get(name, name)
        if key == "dtype":
            # as the file spells it
            key = "torch_dtype" if "torch_dtype" in self._values else "dtype"
            value = str(value).removeprefix("torch.") if value is not None else None
        self._values[key] = value

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several attributes; the names of labels win over their number."""
        self._refuse_misspelt(values)
        labels = values.get("id2label")
        for key, value in values.items():
            if key == "num_labels" and labels:
                _check_labels(value, labels)
            else:
                setattr(self, key, value)

    def _refuse_misspelt(self, names: Iterable[str]) -> None:
        """A name of one's own is kept; one that is nearly a known name is a mistake that would
        leave the default in force.
        """
        known = self.known() if self.model_type else set()
        for name in names:
            near = [] if name in known else get_close_matches(name, known, n=1, cutoff=0.9)
            if near:
                raise ConfigError(f"{type(self).__name__}: unknown {name!r}, which is nearly "
                                  f"{near[0]!r}. Do: write {near[0]!r}, or set a value of your own "
                                  f"under this name with config.{name} = ...")

    # ---- labels ----------------------------------------------------------------------------------
    @property
    def id2label(self) -> dict[int, str]:
        """Label names by class index."""
        labels = self._lookup("id2label")
        if labels is _ABSENT or not labels:
            return {index: f"LABEL_{index}" for index in range(self.DEFAULTS.get("num_labels", 2))}
        return {int(index): label for index, label in labels.items()}

    @id2label.setter
    def id2label(self, labels: Mapping[Any, str] | None) -> None:
        if labels is None:
            self._values.pop("id2label", None)
            return
        if not all(str(index).isdecimal() for index in labels):
            raise ConfigError(f"id2label has the keys {list(labels)}, expected class indices. Do: "
                              "id2label={0: 'first', 1: 'second'}")
        self._values["id2label"] = {str(int(index)): label for index, label in labels.items()}
        if set(self._values.get("label2id") or ()) != set(labels.values()):
            self._values["label2id"] = {label: int(index) for index, label in labels.items()}

    @property
    def label2id(self) -> dict[str, int]:
        """Class indices by label name."""
        labels = self._lookup("label2id")
        return dict(labels) if labels is not _ABSENT and labels else {
            label: index for index, label in self.id2label.items()}

    @label2id.setter
    def label2id(self, labels: Mapping[str, int] | None) -> None:
        self._values["label2id"] = dict(labels or {})

    @property
    def num_labels(self) -> int:
        """The number of classes of a classification head."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != self.num_labels or not self.given("id2label"):
            self._values["id2label"] = {str(index): f"LABEL_{index}" for index in range(count)}
            self._values["label2id"] = {f"LABEL_{index}": index for index in range(count)}

    # ---- out -------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """All values, the family's defaults included."""
        full = {**self._values, **{k: self[k] for k in self.DEFAULTS if k not in _PROPERTIES}}
        if "id2label" in full:
            full["id2label"] = self.id2label
        return {**_plain(full), "model_type": self.model_type
                or self._values.get("model_type", "")}

    def to_save(self) -> dict[str, Any]:
        """What config.json gets: the file as read, with the edits; all values for a new config."""
        values = _plain(self._values) if self._read else self.to_dict()
        if self.model_type:
            values["model_type"] = self.model_type
        return {key: value for key, value in values.items() if key not in PRIVATE}

    def to_diff_dict(self) -> dict[str, Any]:
        """The values that differ from the family's defaults."""
        return {k: v for k, v in self.to_save().items() if k not in self.DEFAULTS
                or self.DEFAULTS[k] != v}

    def to_json_string(self) -> str:
        """`to_save()` as JSON text in the ecosystem's layout."""
        return json.dumps(self.to_save(), indent=2, sort_keys=True) + "\n"

    def get_text_config(self, **_: Any) -> Config:
        """The configuration of the text part: of a text model, the whole."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_json_string())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"

    def __copy__(self) -> Self:
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        object.__setattr__(twin, "_values", copy.deepcopy(self._values, memo))
        object.__setattr__(twin, "_read", self._read)
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._values, self._read)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with configurations of quantization as dictionaries."""
    return {key: value.to_dict() if hasattr(value, "to_dict") else copy.deepcopy(value)
            for key, value in values.items()}


class _Absent:
    def __repr__(self) -> str:
        return "<absent>"


_ABSENT = _Absent()
_PROPERTIES = ("id2label", "label2id", "num_labels")


def _rebuild(cls: type[Config], values: dict[str, Any], read: bool) -> Config:
    config = object.__new__(cls)
    object.__setattr__(config, "_values", values)
    object.__setattr__(config, "_read", read)
    return config


def _check_labels(count: int, labels: Mapping[Any, str]) -> None:
    if count != len(labels):
        raise ConfigError(f"num_labels={count} but id2label names {len(labels)} labels. "
                          "Do: give one of them, or make them agree")
