"""The tokenizer: built from files, from a `tokenizers.Tokenizer`, or from vocabulary files.

A tokenizer.json is run as it is: its class adds roles, sides and columns, never other ids.  Layers,
each a file: Vocabulary < SpecialTokens < Caller < Decoder < Chatter < Saver < Tokenizer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken
from tokenizers import Tokenizer as Rust

from enfold.errors import TokenizerError, unknown_arguments
from enfold.files import HubOptions
from enfold.text.edit import EDITS, edit, frame
from enfold.text.engine import Engine, read_engine
from enfold.text.kinds import GENERIC
from enfold.text.languages import Languages
from enfold.text.plan import UNLIMITED, checked_side
from enfold.text.settings import BUILD, PLAIN, Settings, known_keywords, read_settings
from enfold.text.sources import ENGINE, VOCABULARIES, Source, find, from_files
from enfold.text.special import ROLES, as_special
from enfold.text.vocabulary import NewToken

FILES = {"source_spm": "source.spm", "target_spm": "target.spm",
         "target_vocab_file": "target_vocab.json"}


class Tokenizer(Languages):
    """Text to ids and back.

    `from_pretrained(folder_or_name)`, or `Tokenizer(tokenizer_object=...)`,
    `Tokenizer(tokenizer_file="tokenizer.json")`, `BertTokenizer(vocab_file="vocab.txt")`; with
    roles (`pad_token="[PAD]"`), `model_max_length`, `padding_side`, `chat_template`, ...
    """

    name_or_path: str
    verbose: bool

    def __init__(self, vocab_file: str | Path | None = None, merges_file: str | Path | None = None,
                 tokenizer_file: str | Path | None = None,
                 tokenizer_object: Rust | Tokenizer | None = None, **options: Any) -> None:
        given = {"merges.txt": merges_file, ENGINE: tokenizer_file,
                 **{name: options.pop(key, None) for key, name in FILES.items()}}
        paths = {name: Path(path) for name, path in given.items() if path is not None}
        if vocab_file is not None:
            paths[self._vocabulary_name(Path(vocab_file))] = Path(vocab_file)
        if isinstance(tokenizer_object, Tokenizer):
            tokenizer_object = tokenizer_object.backend_tokenizer
        if tokenizer_object is not None:
            source = Source("")
            self._build(source, Engine(copy.deepcopy(tokenizer_object)), options)
        elif paths:
            source = from_files(paths)
            source.class_name = type(self).__name__
            self._build(source, None, options)
        else:
            raise TokenizerError(f"{type(self).__name__}(): nothing to build from. Do: "
                                 f"{type(self).__name__}.from_pretrained(folder_or_name), or pass "
                                 "tokenizer_file=, tokenizer_object= or vocab_file=")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Read a tokenizer from a folder, a Hub repository or one file.

        Hub: revision, cache_dir, token, local_files_only, subfolder, force_download.  Any role,
        limit or side by keyword goes before what the files say.
        """
        options = HubOptions.pop(kwargs)
        name = None if cls.kind is GENERIC else cls.__name__
        source = find(pretrained_model_name_or_path, options, name, bool(kwargs.get("from_slow")),
                      kwargs.pop("gguf_file", None))
        return cls._from_source(source, kwargs)

    @classmethod
    def _from_source(cls, source: Source, kwargs: dict[str, Any]) -> Self:
        tokenizer = cls.__new__(cls)
        engine = Engine(source.engine) if source.engine is not None else None
        tokenizer._build(source, engine, kwargs)
        return tokenizer

    def _build(self, source: Source, engine: Engine | None, said: dict[str, Any]) -> None:
        known = known_keywords(said)
        if unknown := set(said) - known:
            raise unknown_arguments(type(self).__name__, unknown, known)
        _refuse(said)
        self._source, self._roles, self._extra = source, dict.fromkeys(ROLES), []
        self.init_kwargs = {**source.config, **said}
        self.name_or_path = said.get("name_or_path") or source.name
        self.verbose = bool(said.get("verbose", False))
        verbatim = engine is not None or ENGINE in source.files
        if engine is not None:
            self._engine = engine
        elif verbatim:
            self._engine = Engine(read_engine(source.files[ENGINE]))
        else:
            self._engine, self._target = _convert(source, self.init_kwargs)
        self._take_files(source)
        self._read_state = self._state()
        self._take(said, edits=verbatim)

    def _take_files(self, source: Source) -> None:
        """Roles and limits from the class, then tokenizer.json, then the other files."""
        baked, kind = self._engine.baked["padding"] or {}, self.kind
        self.padding_side = baked.get("direction", kind.side)
        self.truncation_side = (self._engine.baked["truncation"] or {}).get("direction", "right")
        self.pad_token_type_id = baked.get("pad_type_id", kind.pad_type)
        self.model_input_names = kind.model_input_names
        self.model_max_length = kind.max_length or UNLIMITED
        vocab = self.backend_tokenizer.token_to_id
        roles = {**kind.roles, **kind.named, "pad_token": baked.get("pad_token",
                                                                    kind.roles.get("pad_token"))}
        self._roles |= {key: token for key, token in roles.items()
                        if token is not None and vocab(str(token)) is not None}
        self._extra = [token for token in kind.extra if vocab(token) is not None]
        files = dict(source.config)
        if "added_tokens_decoder" not in files:
            files |= source.roles
        settings = read_settings(files)
        for text, index in sorted(source.added.items(), key=lambda item: item[1]):
            settings.added.setdefault(index, AddedToken(text, special=False, normalized=True))
        if source.template is not None:
            settings.template = source.template
        self._adopt(settings)
        self._add_missing([settings.added[key] for key in sorted(settings.added)], special=False)
        self._add_missing(settings.tokens())

    def _take(self, said: Mapping[str, Any], edits: bool) -> None:
        """What the caller says by keyword."""
        settings = read_settings(said)
        self._adopt(settings)
        known = self.added_tokens_encoder
        new = [as_special(token) for token in settings.tokens() if str(token) not in known]
        if new:
            self.add_tokens(new, special_tokens=True)
        changes = {key: said[key] for key in EDITS if said.get(key) is not None}
        if edits and changes:
            edit(self.backend_tokenizer, **changes)
        frames = ("add_bos_token", "add_eos_token") if edits else ()  # a conversion has heeded them
        for key in (*frames, "src_lang", "tgt_lang"):
            if said.get(key) is not None:
                setattr(self, key, said[key])

    def _adopt(self, settings: Settings) -> None:
        self._roles |= settings.roles
        if settings.extra is not None:
            self._extra = list(settings.extra)
        for key, value in settings.plain.items():
            setattr(self, key, checked_side(key[:-5], value) if key.endswith("_side") else value)
        if settings.template is not None:
            self.chat_template = settings.template

    def _add_missing(self, tokens: Iterable[NewToken], special: bool = True) -> None:
        """Add tokens that files declare and the vocabulary lacks; what it has stays verbatim."""
        have = self.backend_tokenizer.token_to_id
        for token in tokens:
            if have(str(token)) is None:
                self.add_tokens([as_special(token) if special else token],
                                special_tokens=special or getattr(token, "special", False))

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("init_kwargs", {})
        if name in (*BUILD, *EDITS) and name in options:
            return options[name]
        return super().__getattr__(name)

    def __repr__(self) -> str:
        added = "".join(f"\n\t{index}: {token!r}," for index, token in
                        self.added_tokens_decoder.items())
        return (f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size="
                f"{self.vocab_size}, model_max_length={self.model_max_length}, padding_side="
                f"{self.padding_side!r}, truncation_side={self.truncation_side!r}, special_tokens="
                f"{self.special_tokens_map}, added_tokens_decoder={{{added}\n}})")

    def train_new_from_iterator(self, text_iterator: Iterable[Any], vocab_size: int,
                                length: int | None = None,
                                new_special_tokens: Sequence[NewToken] | None = None,
                                special_tokens_map: Mapping[str, str] | None = None,
                                **trainer: Any) -> Self:
        """A tokenizer of this kind whose vocabulary is learned from texts (or batches of them).

        special_tokens_map: old special token -> new.  Further keywords go to the trainer.
        """
        from enfold.text.train import train

        renamed = special_tokens_map or {}
        engine = train(self._engine.to_json(), text_iterator, vocab_size, length,
                       new_special_tokens or (), renamed, trainer)
        said: dict[str, Any] = {key: _renamed(token, renamed) for key, token in self._roles.items()}
        extra = [_renamed(token, renamed) for token in self._extra]
        said["extra_special_tokens"] = [*extra, *(new_special_tokens or ())]
        said |= {key: getattr(self, key) for key in PLAIN} | {"chat_template": self.chat_template}
        return type(self)(tokenizer_object=engine, **said)

    @classmethod
    def _vocabulary_name(cls, path: Path) -> str:
        """The usual name of a vocabulary file of any name: its ending tells."""
        ends = {".json": "vocab.json", ".txt": "vocab.txt", ".tiktoken": "tiktoken.model"}
        if ".model" in path.name:
            return "tokenizer.model"
        if path.suffix not in ends and path.name not in VOCABULARIES:
            raise TokenizerError(f"vocab_file={str(path)!r}: not a vocabulary by its name, "
                                 f"expected {', '.join(f'*{end}' for end in ends)} or *.model. "
                                 "Do: rename it")
        return ends.get(path.suffix, path.name)

    @property
    def add_bos_token(self) -> bool:
        """Whether a text gets the BOS token in front; assignable."""
        return self._framed(0, self.bos_token_id)

    @add_bos_token.setter
    def add_bos_token(self, value: bool) -> None:
        self._frame(value, self.add_eos_token)

    @property
    def add_eos_token(self) -> bool:
        """Whether a text gets the EOS token at its end; assignable."""
        return self._framed(-1, self.eos_token_id)

    @add_eos_token.setter
    def add_eos_token(self, value: bool) -> None:
        self._frame(self.add_bos_token, value)

    def update_post_processor(self) -> None:
        """Build the frame of BOS and EOS anew, after bos_token or eos_token were assigned."""
        self._frame(self.num_special_tokens_to_add() > 0 and self.bos_token is not None,
                    self.add_eos_token)

    def _framed(self, place: int, token: int | None) -> bool:
        parts = self._layout([0], None)
        return token is not None and parts[place][0] < 0 and parts[place][1] == token

    def _frame(self, bos: bool, eos: bool) -> None:
        for wanted, role in ((bos, "bos_token"), (eos, "eos_token")):
            if wanted and self._roles[role] is None:
                raise TokenizerError(f"add_{role}=True, but this tokenizer has no {role}. Do: "
                                     f"{role}='...' as well")
        frame(self.backend_tokenizer, self.bos_token if bos else None,
              self.eos_token if eos else None)


def _renamed(token: Any, renamed: Mapping[str, str]) -> Any:
    """A role's token under its new name."""
    return renamed.get(str(token), token)


def _convert(source: Source, config: dict[str, Any]) -> tuple[Engine, Engine | None]:
    """Build engines out of vocabulary files."""
    from enfold.text import convert

    files = {**source.vocabulary(), **{name: path for name, path in source.files.items()
                                       if name.endswith(".json")}}
    config = {"model_type": source.model.get("model_type"), **config}
    if source.paired:
        first, second = convert.marian.build_pair(files, config)
        return Engine(*first), Engine(*second)
    return Engine(convert.build(files, source.class_name, config)), None


def _refuse(said: Mapping[str, Any]) -> None:
    """Options of other engines that would change ids or text and can't be honoured here."""
    if said.get("errors", "replace") != "replace":
        raise NotImplementedError(f"errors={said['errors']!r}: bytes that are not UTF-8 decode to "
                                  "U+FFFD, as errors='replace' does. Do: leave it out")
    if said.get("sp_model_kwargs"):
        raise NotImplementedError("sp_model_kwargs: sampling of segmentations is not there. Do: "
                                  "leave it out")
    for key in ("vocab", "merges"):
        if said.get(key) is not None:
            raise NotImplementedError(f"{key}=: give files (vocab_file=, merges_file=), or a "
                                      "tokenizers.Tokenizer as tokenizer_object=")
