"""Slices of splits: `train[:1000]`, `train[10%:20%]+test`, `test[:33%](closest)`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from enfold.data.sources.patterns import SPLIT_NAME
from enfold.errors import DataError

PART = re.compile(rf"""
    (?P<split>{SPLIT_NAME.pattern})
    (\[ ((?P<from>-?[\d_]+) (?P<from_pct>%)?)? : ((?P<to>-?[\d_]+) (?P<to_pct>%)?)? \])?
    (\( (?P<rounding>[^)]*) \))?""", re.VERBOSE)
ROUNDINGS = ("closest", "pct1_dropremainder")


@dataclass(frozen=True, slots=True)
class AbsoluteInstruction:
    """Rows `from_` to `to` (not included) of one split."""

    splitname: str
    from_: int
    to: int


@dataclass(frozen=True, slots=True)
class RelativeInstruction:
    """A slice of one split as it is written; see ReadInstruction."""

    splitname: str
    from_: int | None = None
    to: int | None = None
    unit: str | None = None
    rounding: str | None = None

    def __post_init__(self) -> None:
        if self.unit not in (None, "%", "abs"):
            raise DataError(f"unit must be either % or abs, got {self.unit!r}")
        if self.rounding not in (None, *ROUNDINGS):
            raise DataError(f"rounding must be either closest or pct1_dropremainder, got "
                            f"{self.rounding!r}")
        if self.unit != "%" and self.rounding is not None:
            raise DataError(f"It is forbidden to specify rounding if not using percent slicing, "
                            f"got rounding={self.rounding!r} with unit={self.unit!r}")
        if self.unit == "%" and any(abs(bound or 0) > 100 for bound in (self.from_, self.to)):
            raise DataError(f"Percent slice boundaries must be > -100 and < 100, got "
                            f"[{self.from_}:{self.to}]")
        if self.unit == "%" and self.rounding is None:
            object.__setattr__(self, "rounding", "closest")

    def absolute(self, rows: Mapping[str, int]) -> AbsoluteInstruction:
        """Which rows that is, given how many each split has.  Raises DataError."""
        if self.splitname not in rows:
            raise DataError(f'Unknown split "{self.splitname}". Should be one of {list(rows)}.')
        total = rows[self.splitname]
        bounds = [default if bound is None else self._row(bound, total)
                  for bound, default in ((self.from_, 0), (self.to, total))]
        start, end = (min(max(total + bound, 0) if bound < 0 else bound, total) for bound in bounds)
        return AbsoluteInstruction(self.splitname, start, end)

    def _row(self, bound: int, total: int) -> int:
        if self.unit != "%":
            return bound
        if self.rounding == "closest":
            return round(bound * total / 100.0)
        if total < 100:
            raise DataError(
                f'Using "pct1_dropremainder" rounding on a split with less than 100 elements is '
                f"forbidden: it always results in an empty dataset. {self.splitname!r} has {total}")
        return bound * math.trunc(total / 100.0)

    def spec(self) -> str:
        """As it is written in a split string."""
        if self.from_ is None and self.to is None:
            return self.splitname
        sign = "%" if self.unit == "%" else ""
        bounds = ("" if bound is None else f"{bound}{sign}" for bound in (self.from_, self.to))
        rounding = f"({self.rounding})" if sign and self.rounding != "closest" else ""
        return f"{self.splitname}[{':'.join(bounds)}]{rounding}"


class ReadInstruction:
    """Which rows of which splits to read; add instructions to read one after the other.

    from_, to: rows, or percent with unit="%"; from the end where negative; None: no bound.
    rounding, of percents: "closest" row, or "pct1_dropremainder": multiples of a whole 1 %, so that
    all slices of as many percent are as long, and the last rows may be in none.
    """

    def __init__(self, split_name: str, rounding: str | None = None, from_: int | None = None,
                 to: int | None = None, unit: str | None = None) -> None:
        self._relative_instructions = [RelativeInstruction(split_name, from_, to, unit, rounding)]

    @classmethod
    def from_spec(cls, spec: str) -> ReadInstruction:
        """From a string: `train`, `train[10:]`, `test[:-5%]+train[40%:60%]`.  Raises DataError."""
        whole, *rest = (cls._part(part) for part in re.split(r"\s*\+\s*", str(spec)))
        for part in rest:
            whole = whole + part
        return whole

    @classmethod
    def _part(cls, text: str) -> ReadInstruction:
        match = PART.fullmatch(text)
        if match is None:
            raise DataError(f"Unrecognized instruction format: {text}. Expected a split's name and "
                            f"perhaps a slice: 'train', 'train[:1000]', 'train[10%:20%]'")
        found = match.groupdict()
        start, end = (int(found[name]) if found[name] else None for name in ("from", "to"))
        percent = found["from_pct"] or found["to_pct"]
        return cls(found["split"], found["rounding"], start, end, "%" if percent else "abs")

    def to_spec(self) -> str:
        """The string that `from_spec` takes."""
        return "+".join(part.spec() for part in self._relative_instructions)

    def to_absolute(self, name2len: Mapping[str, int]) -> list[AbsoluteInstruction]:
        """The rows to read, one after the other, given how many each split has."""
        return [part.absolute(name2len) for part in self._relative_instructions]

    def __add__(self, other: object) -> ReadInstruction:
        if not isinstance(other, ReadInstruction):
            raise TypeError("ReadInstruction can only be added to another ReadInstruction obj.")
        first, second = self._relative_instructions[0], other._relative_instructions[0]
        if "abs" not in (first.unit, second.unit) and first.rounding != second.rounding:
            raise DataError(f"It is forbidden to sum ReadInstruction instances with different "
                            f"rounding values, got {first.rounding!r} and {second.rounding!r}")
        both = ReadInstruction.__new__(ReadInstruction)
        both._relative_instructions = [*self._relative_instructions, *other._relative_instructions]
        return both

    def __str__(self) -> str:
        return self.to_spec()

    def __repr__(self) -> str:
        return f"ReadInstruction({self._relative_instructions})"
