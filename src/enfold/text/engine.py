"""The `tokenizers` engine under a tokenizer: read verbatim, at rest unchanged, shared by threads.

The engine keeps its truncation and padding as state.  Here padding is done outside (call.py), and
truncation is set only while calls that want it run: a Gate lets calls of one Setting in together
and makes others wait, so that a hash, a save or another thread never sees a call's options.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import Any, NamedTuple

from tokenizers import Encoding
from tokenizers import Tokenizer as Rust

from enfold.errors import TokenizerError


class Cut(NamedTuple):
    """How to truncate: to `max_length` tokens, special tokens included."""

    max_length: int
    stride: int
    strategy: str
    direction: str


class Setting(NamedTuple):
    """The state of the engine during a call."""

    cut: Cut | None = None
    split_special: bool = False


PLAIN = Setting()


class Engine:
    """A Rust tokenizer and its gate.  What its file baked in (padding, truncation) is set aside.

    names: the tokens by id, where they are not the engine's own; what the engine calls otherwise
    is encoded as `unknown` (marian.py).
    """

    def __init__(self, rust: Rust, names: Sequence[str] = (), unknown: int = 0) -> None:
        self.rust = rust
        self._names, self._places = names, {name: index for index, name in enumerate(names)}
        self._known = {index: index if rust.id_to_token(index) == name else unknown
                       for index, name in enumerate(names)}
        self.baked: dict[str, Any] = {"truncation": rust.truncation, "padding": rust.padding}
        self._gate = Gate()
        _apply(rust, PLAIN)

    def encode(self, batch: Sequence[Any], setting: Setting = PLAIN, *, add_special: bool = True,
               words: bool = False, offsets: bool = True) -> list[Encoding]:
        """Encode texts, or (text, pair) tuples.  Without `offsets` 1.6 times as fast, ids only."""
        run = self.rust.encode_batch if offsets else self.rust.encode_batch_fast
        with self._gate.hold(self.rust, setting):
            encodings: list[Encoding] = run(batch, is_pretokenized=words,
                                            add_special_tokens=add_special)
        return encodings

    def ids(self, encoding: Encoding) -> list[int]:
        """The ids of an encoding."""
        ids: list[int] = encoding.ids
        return [self._known.get(index, index) for index in ids] if self._names else ids

    def token(self, index: int) -> str | None:
        """The token of an id."""
        named = 0 <= index < len(self._names)
        return self._names[index] if named else self.rust.id_to_token(index)

    def index(self, token: str) -> int | None:
        """The id of a token."""
        found = self.rust.token_to_id(token)
        if not self._names or (found is not None and found >= len(self._names)):
            return found
        return self._places.get(token)

    def vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        found = self.rust.get_vocab(with_added_tokens=True)
        if not self._names:
            return found
        added = {token: index for token, index in found.items() if index >= len(self._names)}
        return self._places | added

    def text(self, ids: list[int]) -> str:
        """Ids decoded, special ones too.  Some of the engine's decoders panic at an empty list."""
        if not ids:
            return ""
        if self._names:
            return str(self.rust.decoder.decode([self.token(index) or "" for index in ids]))
        return str(self.rust.decode(ids, skip_special_tokens=False))

    def to_json(self) -> dict[str, Any]:
        """The engine as tokenizer.json holds it, with the baked padding and truncation."""
        return {**json.loads(self.rust.to_str()), **self._baked_json()}

    def equals(self, other: Rust) -> bool:
        """Whether `other`, fresh from a file, does what this does."""
        twin = Engine(other)
        return twin.baked == self.baked and twin.rust.to_str() == self.rust.to_str()

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        if any(self._baked_json().values()):
            path.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=2), "utf-8")
        else:
            self.rust.save(str(path))

    def _baked_json(self) -> dict[str, Any]:
        """Truncation and padding in the spelling of the file, which is not that of the binding."""
        probe = Rust.from_str('{"model": {"type": "BPE", "vocab": {}, "merges": []}}')
        if self.baked["truncation"]:
            probe.enable_truncation(**self.baked["truncation"])
        if self.baked["padding"]:
            probe.enable_padding(**self.baked["padding"])
        state = json.loads(probe.to_str())
        return {key: state[key] for key in ("truncation", "padding")}

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_gate"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _gate=Gate())


class Gate:
    """Calls with the same setting run together; a call with another waits until they are out."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._pid, self._turn = os.getpid(), Condition()
        self._users, self._setting = 0, PLAIN

    @contextmanager
    def hold(self, rust: Rust, setting: Setting) -> Iterator[None]:
        if self._pid != os.getpid():  # a fork may have happened while another thread held the lock
            self._forget()
        with self._turn:
            self._turn.wait_for(lambda: not self._users or self._setting == setting)
            if not self._users:
                _apply(rust, setting)
                self._setting = setting
            self._users += 1
        try:
            yield
        finally:
            with self._turn:
                self._users -= 1
                if not self._users:
                    _apply(rust, PLAIN)
                    self._turn.notify_all()


def _apply(rust: Rust, setting: Setting) -> None:
    """Bring the engine into this state; what someone set on it from outside is overruled."""
    if setting.cut is not None:
        rust.enable_truncation(**setting.cut._asdict())
    elif rust.truncation is not None:
        rust.no_truncation()
    if rust.padding is not None:
        rust.no_padding()
    if rust.encode_special_tokens != setting.split_special:
        rust.encode_special_tokens = setting.split_special


def share(rust: Rust, **parts: Any) -> Rust:
    """A second engine over the same model (no copy of it), with some parts replaced."""
    twin = Rust(rust.model)
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        part = parts.get(name, getattr(rust, name))
        if part is not None:
            setattr(twin, name, part)
    added = rust.get_added_tokens_decoder()
    for _, token in sorted(added.items()):
        (twin.add_special_tokens if token.special else twin.add_tokens)([token])
    return twin


def read_engine(path: Path) -> Rust:
    """Run a tokenizer.json of any age, verbatim."""
    try:
        return Rust.from_file(str(path))
    except Exception as error:  # the binding raises bare Exception for every kind of trouble
        return _read_old(path, error)


def _read_old(path: Path, error: Exception) -> Rust:
    """Spell old Metaspace parts as the engine now wants them, or say what is wrong in the file."""
    try:
        state = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as broken:
        raise TokenizerError(f"{path}: not valid JSON at line {broken.lineno}, column "
                             f"{broken.colno}: {broken.msg}. Is the download complete?") from None
    except OSError as missing:
        raise TokenizerError(f"{path}: can't be read: {missing}") from missing
    try:
        return Rust.from_str(json.dumps(_respell(state)))
    except Exception:
        raise TokenizerError(f"{path}: the engine can't run this tokenizer.json: {error}. Was it "
                             "written by a newer `tokenizers`? Do: pip install -U tokenizers"
                             ) from error


def _respell(node: Any) -> Any:
    """Metaspace(add_prefix_space=False) is now prepend_scheme="never"."""
    if isinstance(node, list):
        return [_respell(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "Metaspace" and node.get("add_prefix_space") is False:
        kept = {key: value for key, value in node.items() if key != "add_prefix_space"}
        return {**kept, "prepend_scheme": "never"}
    return {key: value if key == "vocab" else _respell(value) for key, value in node.items()}
