"""What a tokenizer's files and a caller's keywords say about roles, limits and sides.

Both spellings are read: transformers 4 (additional_special_tokens: list, extra_special_tokens:
dict, added_tokens_decoder) and 5 (extra_special_tokens: list, tokenizer_class "TokenizersBackend").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizers import AddedToken

from enfold.errors import TokenizerError
from enfold.text.special import ROLES
from enfold.text.vocabulary import NewToken, to_list

EXTRA = ("extra_special_tokens", "additional_special_tokens")
PLAIN = ("model_max_length", "padding_side", "truncation_side", "model_input_names",
         "clean_up_tokenization_spaces", "split_special_tokens",
         "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")
BUILD = ("legacy", "errors", "trim_offsets", "keep_accents", "remove_space", "extra_ids", "vocab",
         "merges", "sp_model_kwargs", "separate_vocabs", "source_lang", "target_lang", "offset",
         "spaces_between_special_tokens", "unk_id", "use_default_system_prompt",
         "legacy_behaviour", "split_by_punct", "clean_text", "tokenizer_type")
ASIDE = ("use_fast", "from_slow", "trust_remote_code", "config", "tokenizer_type",
         "fix_mistral_regex", "_from_auto", "_commit_hash", "processor_class")


@dataclass
class Settings:
    """Roles and plain attributes; None or absent where nothing is said."""

    roles: dict[str, NewToken | None] = field(default_factory=dict)
    extra: list[NewToken] | None = None
    plain: dict[str, Any] = field(default_factory=dict)
    template: str | dict[str, str] | None = None
    added: dict[int, AddedToken] = field(default_factory=dict)

    def tokens(self) -> list[NewToken]:
        """Every token that has a role, then the extra ones."""
        return [token for token in (*self.roles.values(), *(self.extra or ())) if token is not None]


def read_settings(said: Mapping[str, Any]) -> Settings:
    """Settings out of tokenizer_config.json, special_tokens_map.json or keywords."""
    out = Settings(template=_template(said.get("chat_template")))
    out.added = {int(index): _added(token)
                 for index, token in (said.get("added_tokens_decoder") or {}).items()}
    by_text = {token.content: token for token in out.added.values()}
    named = {**_dict(said.get("extra_special_tokens")),
             **_dict(said.get("model_specific_special_tokens"))}
    for key, value in {**said, **named}.items():
        if key in ROLES or key in named or (key.endswith("_token")
                                            and isinstance(value, (str, dict, AddedToken))):
            token = _token(key, value)
            out.roles[key] = by_text.get(str(token), token) if isinstance(token, str) else token
    for key in EXTRA:
        if isinstance(said.get(key), (list, tuple)) and not out.extra:
            tokens = [_token(key, token) for token in said[key]]
            out.extra = [by_text.get(str(token), token) if isinstance(token, str) else token
                         for token in tokens if token is not None]
    out.plain = {key: to_list(said[key]) for key in PLAIN if said.get(key) is not None}
    if "max_len" in said:
        out.plain.setdefault("model_max_length", said["max_len"])
    return out


def known_keywords(said: Mapping[str, Any]) -> set[str]:
    """Those of a caller's keywords that mean something, and all that could."""
    from enfold.text.edit import EDITS

    tokens = {key for key, value in said.items()
              if key.endswith("_token") and isinstance(value, (str, AddedToken))}
    return {*ROLES, *EXTRA, *PLAIN, *BUILD, *ASIDE, *EDITS, *tokens, "chat_template", "max_len",
            "added_tokens_decoder", "model_specific_special_tokens", "name_or_path", "verbose",
            "add_bos_token", "add_eos_token", "src_lang", "tgt_lang"}


def _token(key: str, value: Any) -> NewToken | None:
    if isinstance(value, dict) and "content" in value:
        return _added(value)
    if value is not None and not isinstance(value, (str, AddedToken)):
        raise TokenizerError(f"{key} is {value!r}, expected a str, an AddedToken or None")
    return value


def _added(value: Any) -> AddedToken:
    if isinstance(value, AddedToken):
        return value
    if isinstance(value, str):
        return AddedToken(value, special=True, normalized=False)
    fields = {key: value[key] for key in ("content", "lstrip", "rstrip", "normalized",
                                          "single_word", "special") if key in value}
    return AddedToken(**{"special": True, "normalized": False, **fields})


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _template(value: Any) -> str | dict[str, str] | None:
    """A template, or several: {name: text}, written by transformers 4 as a list."""
    if isinstance(value, (list, tuple)):
        return {one["name"]: one["template"] for one in value}
    return value  # type: ignore[no-any-return]
