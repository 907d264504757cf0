"""Saving: files that transformers 4.57 and 5.x read, untouched ones byte for byte as they were.

tokenizer.json is copied unless the engine differs from it; tokenizer_config.json is what was read
plus the settings that changed.  Saving what was loaded, and loading that, changes nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from enfold.errors import TokenizerError
from enfold.files import atomic_folder_write, push_to_hub
from enfold.text.chat import Chatter
from enfold.text.edit import EDITS
from enfold.text.engine import read_engine
from enfold.text.settings import BUILD, PLAIN
from enfold.text.sources import ADDED, CONFIG, ENGINE, ROLES, TEMPLATE, TEMPLATES, Source

OUT_OF_4 = {"TokenizersBackend": "PreTrainedTokenizerFast", "Tokenizer": "PreTrainedTokenizerFast",
            "PythonBackend": "PreTrainedTokenizer"}


class Saver(Chatter):
    """`tokenizer.save_pretrained(folder)`."""

    _source: Source
    _read_state: dict[str, Any]
    init_kwargs: dict[str, Any]

    def save_pretrained(self, save_directory: str | Path, legacy_format: bool | None = None,
                        filename_prefix: str | None = None, push_to_hub: bool = False,
                        **hub: Any) -> tuple[str, ...]:
        """Write the tokenizer's files into a folder (made if need be); returns their paths.

        With `push_to_hub`, upload them to `repo_id` (by default the folder's name).
        """
        if legacy_format:
            raise NotImplementedError("legacy_format=True: files for slow tokenizers are not "
                                      "written from a tokenizer.json. Do: leave it out")
        if hub and not push_to_hub:
            raise TokenizerError(f"save_pretrained: {', '.join(hub)} only mean something with "
                                 "push_to_hub=True")
        folder = Path(save_directory)
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        names = []
        with atomic_folder_write(folder) as staging:
            for name, write in self._files().items():
                path = staging / f"{prefix}{name}"
                path.parent.mkdir(exist_ok=True)
                write(path)
                names.append(str(folder / f"{prefix}{name}"))
        if push_to_hub:
            self._push(folder, hub.pop("repo_id", None) or folder.name, hub)
        return tuple(names)

    def push_to_hub(self, repo_id: str, **hub: Any) -> Any:
        """Save and upload: token, private, commit_message, revision, create_pr."""
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return self._push(Path(folder), repo_id, {"commit_message": "Upload tokenizer", **hub})

    def save_vocabulary(self, save_directory: str | Path,
                        filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the model's vocabulary alone, in the format of its kind."""
        model = self.backend_tokenizer.model
        return tuple(model.save(str(save_directory), filename_prefix))

    @staticmethod
    def _push(folder: Path, repo_id: str, hub: dict[str, Any]) -> Any:
        return push_to_hub(folder, repo_id, **hub)

    def _files(self) -> dict[str, Callable[[Path], Any]]:
        """Each file's name and how to write it."""
        state = self._state()
        files: dict[str, Callable[[Path], Any]] = {
            CONFIG: _text(self._kept(CONFIG, self._config(state), self._source.config)),
            ROLES: _text(self._kept(ROLES, self._roles_json(), self._source.roles))}
        if ADDED in self._source.files:
            new = {token: index for token, index in self.added_tokens_encoder.items()
                   if index >= self.vocab_size} if self._changed(state, "added_tokens_decoder") \
                else self._source.added
            files[ADDED] = _text(self._kept(ADDED, new, self._source.added))
        for name, path in self._source.vocabulary().items():
            if path.is_file():
                files[name] = _bytes(path.read_bytes())
        if not self._source.paired:
            files[ENGINE] = self._engine_file()
        return files | self._templates()

    def _engine_file(self) -> Callable[[Path], Any]:
        read = self._source.files.get(ENGINE)
        same = read and read.is_file() and self._engine.equals(read_engine(read))
        return _bytes(read.read_bytes()) if read and same else self._engine.save

    def _templates(self) -> dict[str, Callable[[Path], Any]]:
        own = self.chat_template
        named = own if isinstance(own, dict) else {"default": own} if own else {}
        files = {}
        for name, text in named.items():
            if Path(name).name != name or name in (".", ".."):
                raise TokenizerError(f"a chat template is named {name!r}, which can't be a file's "
                                     "name. Do: rename it in tokenizer.chat_template")
            files[TEMPLATE if name == "default" else f"{TEMPLATES}/{name}.jinja"] = _text(text)
        return files

    def _kept(self, name: str, new: dict[str, Any], read: dict[str, Any]) -> str:
        """The text of a JSON file: as it was read, if it says the same."""
        path = self._source.files.get(name)
        if path and path.is_file() and new == read:
            return path.read_bytes().decode("utf-8")
        return json.dumps(new, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def _config(self, state: dict[str, Any]) -> dict[str, Any]:
        """tokenizer_config.json: what was read and what has changed since; or everything."""
        read = self._source.config
        out = dict(read) if read else {}
        out |= {key: value for key, value in state.items()
                if not read or self._changed(state, key)}
        if isinstance(out.get("extra_special_tokens"), list):  # transformers 4 wants a dict there
            listed = out.pop("extra_special_tokens")
            out["additional_special_tokens"] = out.get("additional_special_tokens") or listed
        name = out.get("tokenizer_class") or state["tokenizer_class"]
        out["tokenizer_class"] = OUT_OF_4.get(name, name)
        return {key: value for key, value in out.items() if value is not None or key in read}

    def _changed(self, state: dict[str, Any], key: str) -> bool:
        return bool(state[key] != self._read_state.get(key))

    def _state(self) -> dict[str, Any]:
        """The settings as tokenizer_config.json spells them, readable by transformers 4 and 5."""
        own = {key: token for key, token in self._roles.items() if key not in _SEVEN}
        template = self.chat_template
        if isinstance(template, dict):
            listed = [{"name": name, "template": text} for name, text in template.items()]
        return {
            **{key: getattr(self, key) for key in PLAIN[:6]},
            **{key: _plain(token) for key, token in self._roles.items() if key in _SEVEN},
            **{key: self.init_kwargs[key] for key in (*BUILD, *EDITS) if key in self.init_kwargs},
            "extra_special_tokens": {key: _plain(token) for key, token in own.items() if token},
            "additional_special_tokens": [_plain(token) for token in self._extra],
            "added_tokens_decoder": {str(index): _fields(token) for index, token in
                                     self.added_tokens_decoder.items()},
            "chat_template": listed if isinstance(template, dict) else template,
            "src_lang": self.__dict__.get("_src_lang"),
            "tgt_lang": self.__dict__.get("_tgt_lang"),
            "tokenizer_class": self._source.class_name or type(self).__name__,
        }

    def _roles_json(self) -> dict[str, Any]:
        """special_tokens_map.json, for transformers 4; as read if the roles are."""
        state = self._state()
        keys = (*_SEVEN, "additional_special_tokens", "extra_special_tokens")
        if self._source.roles and not any(self._changed(state, key) for key in keys):
            return self._source.roles
        named = state["extra_special_tokens"]
        roles = {**{key: state[key] for key in _SEVEN}, **named,
                 "additional_special_tokens": state["additional_special_tokens"]}
        return {key: _untyped(value) for key, value in roles.items() if value}


_SEVEN = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
          "mask_token")


def _fields(token: AddedToken) -> dict[str, Any]:
    state: dict[str, Any] = token.__getstate__()
    return state


def _plain(token: Any) -> Any:
    """A token as a str, or with its flags where they are not the usual ones."""
    if token is None or isinstance(token, str):
        return token
    state = _fields(token)
    usual = not (state["lstrip"] or state["rstrip"] or state["single_word"] or state["normalized"])
    return token.content if usual else {"__type": "AddedToken", **state}


def _untyped(value: Any) -> Any:
    """Flags as special_tokens_map.json spells them."""
    if isinstance(value, list):
        return [_untyped(item) for item in value]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in ("__type", "special")}
    return value


def _text(text: str) -> Callable[[Path], Any]:
    return _bytes(text.encode())


def _bytes(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(data)
