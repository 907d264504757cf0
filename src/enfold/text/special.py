"""Special tokens by role: bos, eos, unk, sep, pad, cls, mask, and the extra ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import AddedToken

from enfold.errors import TokenizerError, nearest
from enfold.text.vocabulary import NewToken, Vocabulary

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class Role:
    """`tokenizer.pad_token`: the token, or None; assignable."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: SpecialTokens, owner: type) -> str | None:
        token = tokenizer._roles.get(self.name)
        return None if token is None else str(token)

    def __set__(self, tokenizer: SpecialTokens, token: NewToken | None) -> None:
        tokenizer._roles[self.name] = _checked(self.name, token)


class RoleId:
    """`tokenizer.pad_token_id`: the token's id, or None; assignable."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name.removesuffix("_id")

    def __get__(self, tokenizer: SpecialTokens, owner: type) -> int | None:
        token = tokenizer._roles.get(self.role)
        return None if token is None else tokenizer.convert_tokens_to_ids(str(token))

    def __set__(self, tokenizer: SpecialTokens, index: int | None) -> None:
        token = None if index is None else tokenizer.convert_ids_to_tokens(int(index))
        if index is not None and token is None:
            raise TokenizerError(f"{self.role}_id = {index}: the vocabulary has no such id; it has "
                                 f"{len(tokenizer)}")
        tokenizer._roles[self.role] = token


class SpecialTokens(Vocabulary):
    """Roles are names for tokens; the tokens themselves live in the vocabulary."""

    _roles: dict[str, NewToken | None]  # the seven, and the model's own such as image_token
    _extra: list[NewToken]

    bos_token, eos_token, unk_token, sep_token = Role(), Role(), Role(), Role()
    pad_token, cls_token, mask_token = Role(), Role(), Role()
    bos_token_id, eos_token_id, unk_token_id, sep_token_id = RoleId(), RoleId(), RoleId(), RoleId()
    pad_token_id, cls_token_id, mask_token_id = RoleId(), RoleId(), RoleId()
    pad_token_type_id: int = 0

    def __getattr__(self, name: str) -> Any:
        roles = self.__dict__.get("_roles", {})
        if name in roles:
            return None if roles[name] is None else str(roles[name])
        if name.endswith("_id") and name[:-3] in roles:
            token = roles[name[:-3]]
            return None if token is None else self.convert_tokens_to_ids(str(token))
        known = [key for key in dir(type(self)) if not key.startswith("_")]
        raise AttributeError(f"{type(self).__name__} has no {name!r}{nearest(name, known)}")

    def _unknown_id(self) -> int | None:
        token = self._roles.get("unk_token")
        return None if token is None else self.backend_tokenizer.token_to_id(str(token))

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a role of their own."""
        return [str(token) for token in self._extra]

    @extra_special_tokens.setter
    def extra_special_tokens(self, tokens: Sequence[NewToken] | None) -> None:
        self._extra = [_checked("extra_special_tokens", token) or "" for token in tokens or ()]

    additional_special_tokens = extra_special_tokens  # the spelling of transformers 4

    @property
    def extra_special_tokens_ids(self) -> list[int]:
        """Their ids."""
        return self.convert_tokens_to_ids(self.extra_special_tokens)

    additional_special_tokens_ids = extra_special_tokens_ids

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Role -> token, for the roles that have one."""
        return {role: str(token) for role, token in self._roles.items() if token is not None}

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """Role -> AddedToken or str, and `additional_special_tokens` where there are some."""
        roles: dict[str, Any] = {key: token for key, token in self._roles.items() if token}
        return roles | ({"additional_special_tokens": list(self._extra)} if self._extra else {})

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once: the roles', then the extra ones."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def _special_ids(self) -> list[int]:
        return self.all_special_ids

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Any],
                           replace_extra_special_tokens: bool = True,
                           replace_additional_special_tokens: bool | None = None) -> int:
        """Give roles to tokens, adding those that are not in the vocabulary.

        Keys: the roles (`pad_token`, ...), the model's own, `extra_special_tokens` (or
        `additional_special_tokens`): a list.  Returns how many tokens were new; then
        `model.resize_token_embeddings(len(tokenizer))`.
        """
        replace = (replace_extra_special_tokens if replace_additional_special_tokens is None
                   else replace_additional_special_tokens)
        added: list[NewToken] = []
        for key, value in special_tokens_dict.items():
            if key in ("extra_special_tokens", "additional_special_tokens"):
                added += self._more_extra(key, value, replace)
            elif key in self._roles or key in ROLES:
                self._roles[key] = _checked(key, value)
                added.append(as_special(value))
            else:
                options = [*ROLES, *self._roles, "extra_special_tokens"]
                raise TokenizerError(
                    f"add_special_tokens: {key!r} is not a role{nearest(key, options)}. Expected "
                    f"one of {', '.join(dict.fromkeys(options))}")
        return self.add_tokens(added, special_tokens=True) if added else 0

    def _more_extra(self, key: str, value: Any, replace: bool) -> list[NewToken]:
        if not isinstance(value, (list, tuple)):
            raise TokenizerError(f"add_special_tokens: {key} is a {type(value).__name__}, expected "
                                 "a list of tokens")
        known = set() if replace else set(self.extra_special_tokens)
        tokens = [as_special(_checked(key, token)) for token in value if str(token) not in known]
        self._extra = [*([] if replace else self._extra), *tokens]
        return tokens

    def get_special_tokens_mask(self, token_ids_0: list[int], token_ids_1: list[int] | None = None,
                                already_has_special_tokens: bool = False) -> list[int]:
        """1 for special tokens, 0 for others, in ids that have them or are to get them."""
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise TokenizerError("get_special_tokens_mask: already_has_special_tokens=True "
                                     "means one list of ids that holds all. Do: drop token_ids_1")
            special = set(self.all_special_ids)
            return [int(index in special) for index in token_ids_0]
        return [int(part < 0) for part, _, _ in self._layout(token_ids_0, token_ids_1)]

    def build_inputs_with_special_tokens(self, token_ids_0: list[int],
                                         token_ids_1: list[int] | None = None) -> list[int]:
        """Ids of a text, or of a pair, with the special tokens around them."""
        return [index for _, index, _ in self._layout(token_ids_0, token_ids_1)]

    def create_token_type_ids_from_sequences(self, token_ids_0: list[int],
                                             token_ids_1: list[int] | None = None) -> list[int]:
        """Segment numbers of a text, or of a pair, special tokens included."""
        return [kind for _, _, kind in self._layout(token_ids_0, token_ids_1)]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens an encoded text (or pair) gets."""
        return int(self.backend_tokenizer.num_special_tokens_to_add(pair))

    def _layout(self, first: list[int], second: list[int] | None) -> list[tuple[int, int, int]]:
        """(0, 1 or -1 for special; id; segment) for each token: what the post-processor does."""
        texts = [ids for ids in (first, second) if ids is not None]
        one = self._probe()
        encoding = self._engine.encode([one if len(texts) == 1 else (one, one)])[0]
        out, previous = [], -1
        for part, index, kind in zip(encoding.sequence_ids, encoding.ids, encoding.type_ids,
                                     strict=True):
            if part is None:
                out.append((-1, index, kind))
            elif part != previous:
                out += [(part, item, kind) for item in texts[part]]
            previous = -1 if part is None else part
        return out

    def _probe(self) -> str:
        """Any text that gives at least one token."""
        for text in ("a", "1", self.backend_tokenizer.id_to_token(len(self) // 2) or ""):
            if text and self._engine.encode([text], add_special=False)[0].ids:
                return text
        raise TokenizerError("this vocabulary encodes neither 'a' nor '1', so where its special "
                             "tokens go can't be told. Do: tokenizer(text, text_pair)")


def as_special(token: Any) -> NewToken:
    """A plain string as a special token that is matched verbatim."""
    if isinstance(token, str):
        return AddedToken(token, special=True, normalized=False)
    token.special = True
    return token  # type: ignore[no-any-return]


def _checked(key: str, token: Any) -> Any:
    if token is not None and not isinstance(token, (str, AddedToken)):
        raise TokenizerError(f"{key} = {token!r} is a {type(token).__name__}, expected a str, an "
                             "AddedToken or None")
    return token
