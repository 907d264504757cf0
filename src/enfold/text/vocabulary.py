"""A tokenizer's vocabulary: tokens and ids, and tokens added.  The first layer of Tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, overload

from tokenizers import AddedToken
from tokenizers import Tokenizer as Rust

from enfold.errors import TokenizerError
from enfold.text.engine import Engine
from enfold.text.kinds import GENERIC, Kind

NewToken = str | AddedToken


class Vocabulary:
    """Tokens <-> ids through the engine, so added tokens are looked up as fast as the others."""

    kind: ClassVar[Kind] = GENERIC  # the class's row
    _engine: Engine
    _target: Engine | None = None  # another vocabulary for text_target (marian)

    @property
    def backend_tokenizer(self) -> Rust:
        """The `tokenizers.Tokenizer` that does the work."""
        return self._engine.rust

    _tokenizer = backend_tokenizer

    @property
    def is_fast(self) -> bool:
        """Always True: there is one engine."""
        return True

    @property
    def vocab_size(self) -> int:
        """Tokens of the model, without the added ones; `len(tokenizer)` counts them too."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True  # `if tokenizer:` asks whether there is one, and counting is not free

    def get_vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        return self._engine.vocab()

    @property
    def vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> AddedToken."""
        return dict(sorted(self.backend_tokenizer.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Added token -> id, by id."""
        return {token.content: index for index, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """Added token -> id, by id."""
        return self.added_tokens_encoder

    def _unknown_id(self) -> int | None:
        raise NotImplementedError("the layer above knows the unknown token")

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The id of a token, or of each; the unknown token's id (or None) where there is none."""
        if tokens is None:
            return None
        if isinstance(tokens, str):
            index = self._engine.index(tokens)
            return self._unknown_id() if index is None else index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int],
                              skip_special_tokens: bool = False) -> list[str]: ...

    def convert_ids_to_tokens(self, ids: int | Iterable[int],
                              skip_special_tokens: bool = False) -> Any:
        """The token of an id, or of each (tensors too); None for an id that is none."""
        ids = ids if isinstance(ids, (int, list, tuple)) else to_list(ids)
        if isinstance(ids, int):
            return self._engine.token(ids)
        skip = set(self._special_ids()) if skip_special_tokens else set()
        return [self._engine.token(int(index)) for index in ids if int(index) not in skip]

    def _special_ids(self) -> list[int]:
        raise NotImplementedError("the layer above knows the special tokens")

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens to text as the decoder does."""
        decoder = (self._target or self._engine).rust.decoder
        return decoder.decode(list(tokens)) if decoder is not None else " ".join(tokens)

    def add_tokens(self, new_tokens: NewToken | Sequence[NewToken],
                   special_tokens: bool = False) -> int:
        """Add tokens at the end of the vocabulary; returns how many were new.

        Then `model.resize_token_embeddings(len(tokenizer))`.
        """
        tokens = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else list(new_tokens)
        wrong = [token for token in tokens if not isinstance(token, (str, AddedToken))]
        if wrong:
            raise TokenizerError(f"add_tokens: {wrong[0]!r} is a {type(wrong[0]).__name__}, "
                                 "expected str or AddedToken")
        for engine in filter(None, (self._target, self._engine)):
            rust = engine.rust
            count = rust.add_special_tokens(tokens) if special_tokens else rust.add_tokens(tokens)
        return int(count)


def to_list(value: Any) -> Any:
    """Tensors and arrays, also inside a list, as plain Python numbers and lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        if not value or isinstance(value[0], int):
            return list(value)
        return [to_list(item) for item in value]
    return value
