"""The files of a tokenizer, found in a folder or repository and read; nothing is built yet, but
for a GGUF file, which holds what an engine is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Rust

from enfold.errors import FileMissing
from enfold.files import HubOptions, list_files, read_json
from enfold.files import find as find_file
from enfold.files.gguf import GGUFFile, gguf_path
from enfold.text.kinds import BY_MODEL_TYPE, base_name

ENGINE = "tokenizer.json"
CONFIG = "tokenizer_config.json"
ROLES = "special_tokens_map.json"
ADDED = "added_tokens.json"
TEMPLATE = "chat_template.jinja"
TEMPLATES = "additional_chat_templates"
MARIAN = ("source.spm", "target.spm", "vocab.json", "target_vocab.json")
VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model",
                "sentencepiece.bpe.model", "sentencepiece.model", "spm.model", "source.spm",
                "target.spm", "target_vocab.json", "tiktoken.model", "tekken.json", "dict.txt",
                "bpe.codes")
SUFFIXES = ((ENGINE, ENGINE), (".txt", "vocab.txt"), (".model", "tokenizer.model"),
            (".tiktoken", "tiktoken.model"))


@dataclass
class Source:
    """What was found: paths by file name, and the small JSON files read."""

    name: str
    files: dict[str, Path] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    template: str | dict[str, str] | None = None
    class_name: str | None = None
    engine: Rust | None = None

    @property
    def paired(self) -> bool:
        """Two SentencePiece models, for source and target text (marian)."""
        return "source.spm" in self.files

    def vocabulary(self) -> dict[str, Path]:
        """The files that text becomes ids by, other than tokenizer.json."""
        return {name: path for name, path in self.files.items() if name in VOCABULARIES}


def find(name: str | Path, options: HubOptions, class_name: str | None = None,
         from_slow: bool = False, gguf_file: str | Path | None = None) -> Source:
    """Find and read a tokenizer's files; FileMissing says what was looked for.

    class_name: the class asked for; by default what the files name, or their model_type implies.
    gguf_file: the file of the folder or repository to take the vocabulary from.
    """
    if gguf := gguf_path(name, gguf_file, options):
        return _gguf(gguf, str(name), class_name)
    if isinstance(name, str | Path) and Path(name).is_file():
        return replace(_single(Path(name)), class_name=class_name)
    source = Source(str(name))

    def get(filename: str) -> Path | None:
        return find_file(name, filename, options, required=False)

    _collect(source, [CONFIG, ROLES, ADDED, TEMPLATE, "config.json"], get)
    source.config = _json(source, CONFIG)
    source.model = _json(source, "config.json")
    source.class_name = class_name or _declared(source)
    if base_name(source.class_name) == "MarianTokenizer":
        _collect(source, MARIAN, get)
    if not source.paired and not from_slow:
        _collect(source, [ENGINE], get)
    if ENGINE not in source.files or Path(name).is_dir():  # in a folder, to be saved along with it
        _collect(source, VOCABULARIES, get)
    if ENGINE not in source.files and not any(part in source.files for part in VOCABULARIES):
        raise FileMissing(f"{name}: no tokenizer there. Looked for {ENGINE}, "
                          f"{', '.join(VOCABULARIES)}. Is this the model's own folder or "
                          "repository, and the right revision?")
    source.roles = _json(source, ROLES)
    source.added = _json(source, ADDED)
    source.template = _templates(source, get, lambda: list_files(name, options))
    return source


def _declared(source: Source) -> str | None:
    """The class that the files name; model_type implies one where they don't."""
    name = source.config.get("tokenizer_class") or source.model.get("tokenizer_class")
    return name or BY_MODEL_TYPE.get(source.model.get("model_type", ""))


def from_files(files: dict[str, Path]) -> Source:
    """A source of files given one by one (`vocab_file=`, `merges_file=`, ...)."""
    for path in files.values():
        if not path.is_file():
            raise FileMissing(f"{path}: no such file")
    return Source("", files)


def _gguf(path: Path, name: str, class_name: str | None) -> Source:
    """The vocabulary inside a GGUF file."""
    from enfold.text.gguf import read_tokenizer

    engine, config = read_tokenizer(path, GGUFFile(path).metadata)
    return Source(name, config=config, engine=engine,
                  class_name=class_name or config.get("tokenizer_class"))


def _single(path: Path) -> Source:
    """A path to one file: a tokenizer.json, a vocab.txt or a SentencePiece model."""
    role = next((role for end, role in SUFFIXES if path.name.endswith(end)), None)
    if role is None and ".model" in path.name:
        role = "tokenizer.model"
    if role is None:
        raise FileMissing(f"{path}: not a file of a tokenizer by its name. Expected *{ENGINE}, "
                          "*.txt, *.model, *.tiktoken or *.gguf; or give the folder that holds it")
    return Source(str(path), {role: path})


def _collect(source: Source, names: Iterable[str], get: Callable[[str], Path | None]) -> None:
    source.files |= {name: path for name in names if (path := get(name)) is not None}


def _json(source: Source, name: str) -> dict[str, Any]:
    return read_json(source.files[name]) if name in source.files else {}


def _templates(source: Source, get: Callable[[str], Path | None],
               names: Callable[[], Iterable[str]]) -> str | dict[str, str] | None:
    """The template files; they go before what tokenizer_config.json holds."""
    if TEMPLATE not in source.files:
        return None
    found = {"default": source.files[TEMPLATE].read_text("utf-8")}
    extra = [name for name in names() if name.startswith(f"{TEMPLATES}/")
             and name.endswith(".jinja")]
    _collect(source, extra, get)
    found |= {Path(name).stem: source.files[name].read_text("utf-8")
              for name in extra if name in source.files}
    return found if len(found) > 1 else found["default"]
