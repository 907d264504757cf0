"""Tokens out as text while they are made.

generate() calls `put` with the prompt, then with each step's tokens, and `end` at the end.  If it
fails it calls `fail(error)`, so that a reader in another thread gets the error instead of waiting
for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from queue import Queue
from typing import Any

from torch import Tensor

from enfold.errors import GenerationError

# blocks of characters that are written without spaces between the words
CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class BaseStreamer:
    """What generate(streamer=...) talks to."""

    def put(self, value: Tensor) -> None:
        """The prompt [B, T], then the tokens [B] of each step; on the CPU."""
        raise NotImplementedError(f"{type(self).__name__} defines no put(value)")

    def end(self) -> None:
        """No more tokens."""
        raise NotImplementedError(f"{type(self).__name__} defines no end()")

    def fail(self, error: BaseException) -> None:
        """generate() raised `error`: no more tokens."""
        self.end()


class TextStreamer(BaseStreamer):
    """Prints the text word by word; one prompt at a time.

    skip_prompt: print the answer only.  decode_kwargs: for the tokenizer's decode
    (skip_special_tokens).
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        self.tokens: list[int] = []  # of the line being written
        self.printed = 0  # characters of them that are out
        self.at_prompt = True

    def put(self, value: Tensor) -> None:
        if value.dim() > 1 and value.shape[0] > 1:
            raise GenerationError(f"{type(self).__name__} got {value.shape[0]} rows, expected one. "
                                  "Do: generate one prompt at a time, or write a BaseStreamer")
        at_prompt, self.at_prompt = self.at_prompt, False
        if at_prompt and self.skip_prompt:
            return
        self.tokens.extend(value.flatten().tolist())
        text = self._text()
        ready = text[self.printed : _stable(text)]
        self.printed += len(ready)
        if text.endswith("\n"):
            self.tokens, self.printed = [], 0
        self.on_finalized_text(ready)

    def end(self) -> None:
        rest = self._text()[self.printed :] if self.tokens else ""
        self.tokens, self.printed, self.at_prompt = [], 0, True
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Text that won't change any more; override it to send it elsewhere."""
        print(text, flush=True, end="\n" if stream_end else "")

    def _text(self) -> str:
        return str(self.tokenizer.decode(self.tokens, **self.decode_kwargs))


class TextIteratorStreamer(TextStreamer):
    """An iterator over the text, for a generate() that runs in another thread.

    timeout: seconds to wait for the next piece before `queue.Empty` is raised; None waits.  An
    error in generate() is raised in the reader too.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None,
                 **decode_kwargs: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.timeout = timeout
        self.text_queue: Queue[str | BaseException | None] = Queue()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.text_queue.put(text)
        if stream_end:
            self.text_queue.put(None)

    def fail(self, error: BaseException) -> None:
        self.text_queue.put(error)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        value = self.text_queue.get(timeout=self.timeout)
        if value is None:
            raise StopIteration
        if isinstance(value, BaseException):
            raise value
        return value


class AsyncTextIteratorStreamer(TextStreamer):
    """An asynchronous iterator over the text; make it inside a coroutine, generate() in a thread.

    timeout: seconds to wait for the next piece before TimeoutError is raised; None waits.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None,
                 **decode_kwargs: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.timeout = timeout
        self.text_queue: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self._send(text)
        if stream_end:
            self._send(None)

    def fail(self, error: BaseException) -> None:
        self._send(error)

    def _send(self, value: str | BaseException | None) -> None:
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, value)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        async with asyncio.timeout(self.timeout):
            value = await self.text_queue.get()
        if value is None:
            raise StopAsyncIteration
        if isinstance(value, BaseException):
            raise value
        return value


def _stable(text: str) -> int:
    """How much of `text` is settled: up to a line's end, a CJK character, or a word's end."""
    if text.endswith("\n") or (text and any(low <= ord(text[-1]) <= high for low, high in CJK)):
        return len(text)
    return text.rfind(" ") + 1
