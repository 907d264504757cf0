"""Where the records of CSV text end: a line break inside quotes ends none.

    id,text\\n 1,"two\\nlines"\\n 2,5" pipe\\n
           ^             no^     ^          ^

Where every quote opens at a field's start or closes at its end, the count of quotes before a line
break tells (even: outside), which numpy counts for 10 MB in milliseconds.  Other text is walked
through field by field.
"""

from __future__ import annotations

import re

import numpy as np

from enfold.data.sources.blocks import newline_cut
from enfold.data.sources.dialect import Dialect
from enfold.errors import DataFileError

CACHED = 1 << 18


class RecordCut:
    """`cut` for `blocks`: the whole records of a piece of CSV text.

    skip: lines at the start of the first piece that are no records.
    """

    def __init__(self, dialect: Dialect, skip: int = 0) -> None:
        self.skip = skip
        self.quote = dialect.quotechar.encode() if dialect.quotechar else b""
        self.escaped = dialect.escapechar is not None
        self.simple = dialect.doublequote and not self.escaped
        self.edge = np.zeros(256, bool)  # the bytes that a quote may stand next to
        self.edge[list((dialect.sep + (dialect.quotechar or "")).encode() + b"\n\r")] = True
        self.spans = _quoted_fields(dialect) if self.quote else re.compile(b"$")

    def __call__(self, data: bytes | bytearray, final: bool) -> int:
        """How many bytes of `data`, which begins with a record, are whole records."""
        start = line_start(data, self.skip)
        cut = self._cut(data[start:] if start else data, final)
        self.skip = 0 if cut else self.skip
        return start + cut if cut else 0

    def _cut(self, data: bytes | bytearray, final: bool) -> int:
        if not self.quote or self.quote not in data:
            return newline_cut(data, final)
        text = np.frombuffer(data, np.uint8)
        quotes = _positions(text, self.quote[0])
        if not (self.simple and self._regular(text, quotes)):
            quotes = self._walked(data)
        if final:
            if len(quotes) % 2:
                line = 1 + data.count(b"\n", 0, int(quotes[-1]))
                raise UnclosedQuote(line)
            return len(data)
        return _last_break(data, quotes, b"\n", len(data)) or _last_break(
            data, quotes, b"\r", len(data) - 1)  # a last CR may be half of a CR LF

    def _regular(self, text: np.ndarray, quotes: np.ndarray) -> bool:
        """Whether quotes only open at a field's start, close at its end or stand doubled."""
        before = self.edge[text[np.maximum(quotes[0::2] - 1, 0)]]
        after = self.edge[text[np.minimum(quotes[1::2] + 1, len(text) - 1)]]
        before[:1] |= quotes[:1] == 0
        return bool(before.all() and (after[:-1].all() and (
            after[-1:].all() or quotes[-1] == len(text) - 1)))

    def _walked(self, data: bytes | bytearray) -> np.ndarray:
        """The quotes that open and close a field, alternating; an odd number if one stays open."""
        edges: list[int] = []
        for match in self.spans.finditer(data):
            edges.append(match.start("open"))
            if match.group("close"):
                edges.append(match.start("close"))
        return np.array(edges, np.int64)


def _positions(text: np.ndarray, byte: int) -> np.ndarray:
    """Where a byte is, looked for in pieces that fit the processor's cache."""
    return np.concatenate([start + np.flatnonzero(text[start:start + CACHED] == byte)
                           for start in range(0, len(text), CACHED)])


def _last_break(data: bytes | bytearray, quotes: np.ndarray, ending: bytes, end: int) -> int:
    """The end of the last line break outside of quotes, or 0."""
    while (end := data.rfind(ending, 0, end)) >= 0:
        before = int(np.searchsorted(quotes, end))
        if before % 2 == 0:
            return end + 1
        end = int(quotes[before - 1])  # nothing between a quote that opened and here ends a record
    return 0


def line_start(data: bytes | bytearray, number: int) -> int:
    """Where a line begins, counted from 0; the end if there are fewer."""
    at = 0
    for _ in range(number):
        at = data.find(b"\n", at) + 1
        if not at:
            return len(data)
    return at


class UnclosedQuote(DataFileError):  # noqa: N818
    """A quote that opens in this line (of the block, then of the file) and never closes."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}: a quote opens here and never closes")
        self.line = line


def _quoted_fields(dialect: Dialect) -> re.Pattern[bytes]:
    quote, sep = (re.escape((c or "").encode()) for c in (dialect.quotechar, dialect.sep))
    inner = [b"[^" + quote + b"]"]
    if dialect.escapechar:
        escape = re.escape(dialect.escapechar.encode())
        inner = [escape + b".", b"[^" + quote + escape + b"]"]
    if dialect.doublequote:
        inner.insert(0, quote + quote)
    body = b"(?:" + b"|".join(inner) + b")*+"
    return re.compile(b"(?:\\A|(?<=[" + sep + b"\n\r]))(?P<open>" + quote + b")" + body
                      + b"(?P<close>" + quote + b"|\\Z)", re.DOTALL)
