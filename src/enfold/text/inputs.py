"""What a tokenizer accepts as text, checked: a text, words, a batch of either, or pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from enfold.errors import TokenizerError

T = TypeVar("T")
KINDS = ("a str, a list of str (batch), a list of (str, str) (batch of pairs), or with "
         "is_split_into_words=True a list of words or a list of such lists")


class ChatText(str):
    """A rendered chat.  Its special tokens are in it: a tokenizer adds no more of them."""

    def __add__(self, other: str) -> ChatText:
        return ChatText(str.__add__(self, other))

    def __radd__(self, other: str) -> ChatText:
        return ChatText(other + str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return ChatText, (str(self),)


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch for the engine, and whether the caller gave a batch."""

    batch: Sequence[Any]
    batched: bool
    words: bool
    add_special: bool

    def guard(self, run: Callable[[], T]) -> T:
        """Run the engine; what it can't take becomes an error that names the row."""
        try:
            return run()
        except TypeError as error:
            raise TokenizerError(self._blame()) from error
        except BaseException as error:  # the binding raises bare Exception, or its own panic
            if "truncat" not in str(error).lower() and "stride" not in str(error):
                raise
            raise TokenizerError(
                f"can't truncate as asked: {error}. Do: a larger max_length, a smaller stride, or "
                "truncation='longest_first'") from error

    def _blame(self) -> str:
        for number, item in enumerate(self.batch):
            parts = item if isinstance(item, (tuple, list)) else (item,)
            for part in parts:
                flat = part if isinstance(part, (tuple, list)) and self.words else (part,)
                for leaf in flat:
                    if not isinstance(leaf, str):
                        return (f"text number {number} is {leaf!r} ({type(leaf).__name__}), "
                                f"expected a str{_hint(self.words)}")
        return f"the engine can't read text number 0, {self.batch[0]!r}: expected {KINDS}"


def read_inputs(text: Any, pair: Any, words: bool, add_special: bool) -> Inputs:
    """Sort out one text from a batch, and texts from pairs."""
    _check("text", text)
    if pair is not None:
        _check("text_pair", pair)
    many = isinstance(text, (list, tuple))
    batched = bool(many and text and isinstance(text[0], (list, tuple))) if words else many
    if not batched:
        batch: Sequence[Any] = [(text, pair)] if pair else [text]
    elif pair is None:
        batch = text
    elif isinstance(pair, str) or len(text) != len(pair):
        got = "one str" if isinstance(pair, str) else f"{len(pair)} texts"
        raise TokenizerError(f"text is a batch of {len(text)}, text_pair is {got}: expected a list "
                             "of the same length")
    else:
        batch = list(zip(text, pair, strict=True))
    return Inputs(batch, batched, words, _special(batch, add_special))


def _check(name: str, text: Any) -> None:
    """The outermost look; the engine looks at every item."""
    first = text
    for _ in range(3):
        if isinstance(first, (list, tuple)):
            if not first:
                return
            first = first[0]
    if not isinstance(first, str):
        kind = type(text).__name__
        inside = "" if first is text else f" of {type(first).__name__}"
        raise TokenizerError(f"{name} is a {kind}{inside}, expected {KINDS}"
                             + (". Do: list(values)" if hasattr(text, "tolist") else ""))


def _special(batch: Sequence[Any], add_special: bool) -> bool:
    """Rendered chats bring their own special tokens."""
    chats = sum(isinstance(item, ChatText) for item in batch) if add_special else 0
    if chats and chats != len(batch):
        raise TokenizerError(f"{chats} of {len(batch)} texts are rendered chats with their special "
                             "tokens, the others are plain. Do: encode them in two calls, or pass "
                             "add_special_tokens=False")
    return add_special and not chats


def _hint(words: bool) -> str:
    return "" if words else ". Are these words of one text? Do: is_split_into_words=True"
