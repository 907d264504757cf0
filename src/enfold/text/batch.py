"""BatchEncoding: what a tokenizer returns.  A real dict, with maps between text and tokens.

Only ids are computed at first.  `.encodings`, and the maps that need them, encode the same text
again, with offsets, when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Encoding

from enfold.errors import TokenizerError
from enfold.lazy import require

if TYPE_CHECKING:  # numpy, a tenth of a second, is imported when arrays are asked for
    import numpy as np
    import torch

Encodings = Sequence[Encoding]


class CharSpan(NamedTuple):
    """Characters start to end (exclusive) of the text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens start to end (exclusive)."""

    start: int
    end: int


class BatchEncoding(dict[str, Any]):
    """`input_ids` and the rest, by key (`out["input_ids"]`) or attribute (`out.input_ids`).

    An integer index gives the engine's `Encoding` of that row; a slice gives a dict of rows.
    """

    _encodings: Encodings | None
    _later: Callable[[], Encodings] | None
    _n_sequences: int | None

    def __init__(self, data: dict[str, Any] | None = None,
                 encoding: Encoding | Encodings | Callable[[], Encodings] | None = None,
                 tensor_type: str | None = None, prepend_batch_axis: bool = False,
                 n_sequences: int | None = None) -> None:
        super().__init__(data or {})
        self._encodings, self._later, self._n_sequences = None, None, n_sequences
        if isinstance(encoding, Encoding):
            self._encodings = [encoding]
        elif callable(encoding):
            self._later = encoding
        else:
            self._encodings = encoding
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    @property
    def data(self) -> dict[str, Any]:
        """The dict itself."""
        return self

    @property
    def encodings(self) -> Encodings | None:
        """The engine's encodings, one per row; None if this was not made from text."""
        if self._encodings is None and self._later is not None:
            self._encodings, self._later = self._later(), None
        return self._encodings

    @property
    def is_fast(self) -> bool:
        """Whether `.encodings` exist."""
        return self._encodings is not None or self._later is not None

    @property
    def n_sequences(self) -> int | None:
        """1 for texts, 2 for pairs, None if unknown."""
        if self._n_sequences is None and self.encodings:
            self._n_sequences = self.encodings[0].n_sequences
        return self._n_sequences

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            return super().__getitem__(item)
        if self.is_fast and isinstance(item, (int, slice)):
            return (self.encodings or [])[item]
        if isinstance(item, slice):
            return {key: value[item] for key, value in self.items()}
        raise KeyError(f"BatchEncoding has no {item!r}: index it with a name "
                       f"({', '.join(self)}), a row number or a slice")

    def __getattr__(self, name: str) -> Any:
        if name in self and not name.startswith("__"):
            return super().__getitem__(name)
        raise AttributeError(f"BatchEncoding has no {name!r}; it has {', '.join(self)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchEncoding, (dict(self), self.encodings, None, False, self.n_sequences)

    def copy(self) -> BatchEncoding:
        """A shallow copy, with the encodings."""
        return BatchEncoding(dict(self), self._encodings or self._later,
                             n_sequences=self._n_sequences)

    __copy__ = copy

    def to(self, device: str | int | torch.device, *, non_blocking: bool = False) -> BatchEncoding:
        """Move every tensor to `device`, in place."""
        torch = require("torch")
        if not isinstance(device, (str, int, torch.device)):
            raise TokenizerError(f"BatchEncoding.to() got {device!r}, expected a device such as "
                                 "'cpu' or 'cuda:0': token ids have no other dtype")
        for key, value in self.items():
            if hasattr(value, "to"):
                self[key] = value.to(device=device, non_blocking=non_blocking)
        return self

    def convert_to_tensors(self, tensor_type: str | None = None,
                           prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn lists into tensors, in place: "pt" or "np"; None changes nothing."""
        if tensor_type is None:
            return self
        kind = str(getattr(tensor_type, "value", tensor_type))
        if kind not in ("pt", "np"):
            raise TokenizerError(f"return_tensors={kind!r} is not known: expected 'pt', 'np' or "
                                 "None")
        for key, value in self.items():
            if not _is_tensor(value, kind):
                self[key] = _tensor(key, [value] if prepend_batch_axis else value, kind)
        return self

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row, as strings."""
        tokens: list[str] = self._row(batch_index).tokens
        return tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token its word's number in the text; None for special tokens."""
        words: list[int | None] = self._row(batch_index).word_ids
        return words

    words = word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 (text) or 1 (pair); None for special tokens."""
        ids: list[int | None] = self._row(batch_index).sequence_ids
        return ids

    def token_to_sequence(self, batch_or_token: int, token: int | None = None) -> int | None:
        """0 or 1: the sequence a token is from.  Call as (token) or (row, token)."""
        row, index = self._at(batch_or_token, token)
        return _optional(row.token_to_sequence(index))

    def token_to_word(self, batch_or_token: int, token: int | None = None) -> int | None:
        """The word a token is part of.  Call as (token) or (row, token)."""
        row, index = self._at(batch_or_token, token)
        return _optional(row.token_to_word(index))

    def token_to_chars(self, batch_or_token: int, token: int | None = None) -> CharSpan | None:
        """The characters of a token.  Call as (token) or (row, token)."""
        row, index = self._at(batch_or_token, token)
        span = row.token_to_chars(index)
        return None if span is None else CharSpan(*span)

    def word_to_tokens(self, batch_or_word: int, word: int | None = None,
                       sequence_index: int = 0) -> TokenSpan | None:
        """The tokens of a word.  Call as (word) or (row, word)."""
        row, index = self._at(batch_or_word, word)
        span = row.word_to_tokens(index, sequence_index)
        return None if span is None else TokenSpan(*span)

    def word_to_chars(self, batch_or_word: int, word: int | None = None,
                      sequence_index: int = 0) -> CharSpan | None:
        """The characters of a word.  Call as (word) or (row, word)."""
        row, index = self._at(batch_or_word, word)
        span = row.word_to_chars(index, sequence_index)
        return None if span is None else CharSpan(*span)

    def char_to_token(self, batch_or_char: int, char: int | None = None,
                      sequence_index: int = 0) -> int | None:
        """The token that holds a character.  Call as (char) or (row, char)."""
        row, index = self._at(batch_or_char, char)
        return _optional(row.char_to_token(index, sequence_index))

    def char_to_word(self, batch_or_char: int, char: int | None = None,
                     sequence_index: int = 0) -> int | None:
        """The word that holds a character.  Call as (char) or (row, char)."""
        row, index = self._at(batch_or_char, char)
        return _optional(row.char_to_word(index, sequence_index))

    def _row(self, index: int) -> Encoding:
        if not self.encodings:
            raise TokenizerError("this BatchEncoding was not made from text, so it can't map "
                                 "words, characters and tokens. Do: call the tokenizer on the text")
        return self.encodings[index]

    def _at(self, first: int, second: int | None) -> tuple[Encoding, int]:
        """(index) or (row, index); a negative index counts from the row's end."""
        batch_index, index = (0, first) if second is None else (first, second)
        row = self._row(batch_index)
        return row, index + len(row) if index < 0 else index


def _optional(value: Any) -> int | None:
    return None if value is None else int(value)


def _is_tensor(value: Any, kind: str) -> bool:
    package = type(value).__module__.partition(".")[0]
    return package == {"np": "numpy", "pt": "torch"}[kind]


def _tensor(key: str, value: Any, kind: str) -> Any:
    """A list of numbers, or a nested list of equal lengths, as a tensor (int64 for integers)."""
    try:
        array = _stack(value)
        if kind == "np":
            return array
        torch = require("torch")
        if array.dtype.name == "float64" and isinstance(value, list) and not _has_dtype(value):
            return torch.tensor(value)  # python floats become torch's default dtype
        return torch.from_numpy(array)
    except (ValueError, TypeError, OverflowError) as error:
        parts = value if isinstance(value, (list, tuple)) else [value]
        text = next((part for part in parts if isinstance(part, str)), None)
        if text is not None:
            raise TokenizerError(
                f"can't make a tensor of {key!r}: got text such as {text[:40]!r}, expected "
                f"numbers. Do: leave that column out; or, if it names classes, number them: "
                f"dataset.class_encode_column({key!r})") from error
        if None in parts:
            raise TokenizerError(
                f"can't make a tensor of {key!r}: row {parts.index(None)} is None, expected a "
                f"number. Do: leave such rows out, dataset.filter(lambda row: row[{key!r}] is not "
                "None)") from error
        collator = ", or for labels a collator that pads them too: DataCollatorForSeq2Seq, " \
            "DataCollatorForTokenClassification" if key == "labels" else ""
        raise TokenizerError(
            f"can't make a tensor of {key!r}: rows have different lengths, or hold something that "
            f"is not a number. Do: padding=True, truncation=True{collator}"
        ) from error


def _has_dtype(value: list[Any]) -> bool:
    return bool(value) and hasattr(value[0], "dtype")


def _stack(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    if isinstance(value, list) and value and _is_tensor(value[0], "pt"):
        value = [item.detach().cpu().numpy() for item in value]
    array = np.asarray(value)
    if array.dtype == object or array.dtype.kind in "US":
        raise TypeError(f"can't stack {array.dtype}")
    return array.astype(np.int64) if array.size == 0 else array
