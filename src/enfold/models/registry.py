"""The registry of families: model_type -> page, and what a page declares.

A page is imported when one of its families is asked for; the table `FAMILIES` names all of them
without importing any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from enfold.config import Config
from enfold.errors import ConfigError, nearest
from enfold.spec import Base, Body, CausalLM, DoubleHeads, EncDec, Head, MaskedLM, Seq2SeqLM
from enfold.weights.names import Names, NameTable, Theirs, expand, scope

if TYPE_CHECKING:
    from enfold.weights.pieces import Pieces

# model_type: (title of its classes, page)
FAMILIES: dict[str, tuple[str, str]] = {
    "bart": ("Bart", "bart"),
    "bert": ("Bert", "bert"),
    "distilbert": ("DistilBert", "distilbert"),
    "gpt2": ("GPT2", "gpt2"),
    "gpt_bigcode": ("GPTBigCode", "gpt2"),
    "llama": ("Llama", "llama"),
    "marian": ("Marian", "bart"),
    "mistral": ("Mistral", "llama"),
    "mixtral": ("Mixtral", "mixtral"),
    "qwen2": ("Qwen2", "llama"),
    "qwen2_moe": ("Qwen2Moe", "qwen_moe"),
    "qwen3_moe": ("Qwen3Moe", "qwen_moe"),
    "roberta": ("Roberta", "roberta"),
    "t5": ("T5", "t5"),
}

HeadOf = Head | Callable[[Config], Head]
EMPTY: Mapping[str, Theirs] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Arch:
    """One architecture of a family: its head, the head's names, the body's prefix and part.

    `prefix` None is the family's (none for a bare body); `part` is "encoder" or "decoder" where the
    architecture uses half of an encoder-decoder; `rename` overrides lines of the body's names.
    """

    head: HeadOf
    names: Names | Callable[[Config], Names] = field(default_factory=lambda: EMPTY)
    prefix: str | None = None
    part: str = ""
    rename: Names = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is needed to build one model: what `Family.plan` computes from a config."""

    family: Family
    suffix: str
    body: Body
    head: Head
    names: NameTable
    prefix: str
    pieces: tuple[Pieces, ...] = ()

    @property
    def name(self) -> str:
        """The architecture's name, as config.json lists it."""
        return self.family.title + self.suffix


SIZES = {"vocab_size": 1, "hidden_size": 1, "num_attention_heads": 1, "num_hidden_layers": 0}
OWN_WIDTH = ("head_dim", "d_kv")  # of a head, whatever the model's


def check_sizes(config: Config) -> None:
    """Raise for sizes that no model can have."""
    for name, least in SIZES.items():
        value, key = config.get(name), config.SYNONYMS.get(name, name)
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"config.{key} is {value!r}, expected a whole number of at least "
                              f"{least}. Do: correct config.json")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if width % heads and not any(name in config for name in OWN_WIDTH):
        raise ConfigError(f"config: a width of {width} is not a multiple of {heads} attention "
                          f"heads. Do: give {width // heads * heads} or "
                          f"{(width // heads + 1) * heads}, or another number of heads")


@dataclass(frozen=True, slots=True)
class Family:
    """A model_type: its spec, its names, its architectures by the suffix of their class names.

    `untied`: whether a file with these tensors is untied though its config says otherwise.
    `exact`: ends of the names of linear layers that are not to be quantized.  `pieces`: tensors
    that files hold otherwise than under their names.
    """

    model_type: str
    title: str
    spec: Callable[[Config], Body]
    names: Names | Callable[[Config], Names]
    heads: Mapping[str, Arch]
    prefix: str
    defaults: Mapping[str, object] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, Callable[[Config], object]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    std: Callable[[Config, str], float] | None = None
    check: Callable[[Config], None] | None = None
    untied: Callable[[Config, Collection[str]], bool] | None = None
    exact: tuple[str, ...] = ()
    pieces: Callable[[Config], tuple[Pieces, ...]] = lambda config: ()

    def plan(self, config: Config, suffix: str) -> Plan:
        """The body, the head and the names of one architecture for a config."""
        arch = self.heads[suffix]
        check_sizes(config)
        if self.check is not None:
            self.check(config)
        body, head = self.spec(config), arch.head if not callable(arch.head) else arch.head(config)
        if arch.part and isinstance(body, EncDec):
            body = getattr(body, arch.part)
        if isinstance(head, CausalLM | MaskedLM | Seq2SeqLM | DoubleHeads):
            head = replace(head, tied=bool(config.tie_word_embeddings))
        prefix = self.body_prefix(arch)
        return Plan(self, suffix, body, head, NameTable(self._names(config, arch, prefix)), prefix,
                    self.pieces(config))

    def body_prefix(self, arch: Arch) -> str:
        """Their prefix of the body's names in an architecture."""
        if arch.prefix is not None:
            return arch.prefix
        return "" if isinstance(arch.head, Base) else self.prefix

    def prefixes(self) -> tuple[str, ...]:
        """All prefixes that the body's names have in files of the family."""
        found = dict.fromkeys([self.prefix, *map(self.body_prefix, self.heads.values())])
        return tuple(filter(None, found))

    def _names(self, config: Config, arch: Arch, prefix: str) -> dict[str, Theirs]:
        body = expand(self.names(config) if callable(self.names) else self.names)
        if arch.part:
            start = arch.part + "."
            body = {key.removeprefix(start): value for key, value in body.items()
                    if key.startswith(start)}
        body |= arch.rename
        head = arch.names(config) if callable(arch.names) else arch.names
        return scope("body", prefix, body) | scope("head", "", expand(head))

    def tables(self, config: Config) -> list[NameTable]:
        """The names of every architecture of the family."""
        return [NameTable(self._names(config, arch, self.body_prefix(arch)))
                for arch in self.heads.values()]


_REGISTERED: dict[str, Family] = {}


def family(model_type: str, spec: Callable[[Config], Body],
           names: Names | Callable[[Config], Names], heads: Mapping[str, Arch], prefix: str,
           **options: object) -> Family:
    """Register a family; a page does so once per model_type.  Options are fields of `Family`."""
    title = FAMILIES[model_type][0]
    made = Family(model_type, title, spec, names, heads, prefix, **options)  # type: ignore[arg-type]
    _REGISTERED[model_type] = made
    return made


@cache
def get_family(model_type: str) -> Family:
    """The family called `model_type`; an unknown one raises with the nearest."""
    if model_type not in FAMILIES:
        raise ConfigError(f"unknown model_type {model_type!r}{nearest(model_type, FAMILIES)}. "
                          f"Expected one of: {', '.join(sorted(FAMILIES))}. Do: check config.json, "
                          "or `enfold env` for the version")
    import_module(f"enfold.models.{FAMILIES[model_type][1]}")
    return _REGISTERED[model_type]


def find_architecture(name: str) -> tuple[str, str] | None:
    """(model_type, suffix) of a class name, e.g. "BertForMaskedLM"; None if unknown."""
    titles = sorted(((title, kind) for kind, (title, _) in FAMILIES.items()),
                    key=lambda pair: -len(pair[0]))
    for title, kind in titles:
        suffix = name.removeprefix(title)
        if suffix != name and (suffix == "Config" or suffix in get_family(kind).heads):
            return kind, suffix
    return None
