"""Names of splits, and sums and slices of them.

    Split.TRAIN == "train"
    Split.TRAIN + Split.TEST                         reads as "train+test"
    Split.TRAIN.subsplit(percent[:25])               reads as "train[:25%]"
    train, test = Split.TRAIN.subsplit(weighted=[3, 1])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from enfold.data.sources.patterns import check_split
from enfold.data.sources.splits import ReadInstruction
from enfold.errors import DataError

ALL = "all"


class SplitBase:
    """A split, or parts of splits: add them up, take parts of them."""

    __slots__ = ()

    def spec(self) -> str:
        """The string that says the same: "train[:25%]+test"."""
        raise NotImplementedError(f"{type(self).__name__}: a kind of split defines spec()")

    def get_read_instruction(self, split_dict: Mapping[str, Any]) -> ReadInstruction:
        """What to read of these splits; "all" is each of them."""
        names = "+".join(split_dict) if self.spec() == ALL else self.spec()
        return ReadInstruction.from_spec(names)

    def subsplit(self, arg: Any = None, k: int | None = None, percent: slice | None = None,
                 weighted: list[int] | None = None) -> Any:
        """Parts, in percent: `k` equal ones, the one of a slice, or several by their weights.

        arg: any of the three, told apart by its type.  The last part takes what rounding leaves.
        Raises DataError.
        """
        if sum(bool(one) for one in (arg, k, percent, weighted)) != 1:
            raise DataError("subsplit: got several or none of k=, percent= and weighted=. "
                            "Expected one of them")
        for chosen in (arg, k, percent, weighted):
            if isinstance(chosen, slice):
                return SplitParts([(self, chosen)])
            if isinstance(chosen, int):
                return self._weighted([1] * _parts(chosen))
            if isinstance(chosen, list):
                return self._weighted(chosen)
        raise DataError(f"subsplit: got {arg!r}. Expected a number of parts, a slice such as "
                        f"percent[:25], or a list of weights")

    def _weighted(self, weights: list[int]) -> tuple[SplitParts, ...]:
        bounds = [0]
        for weight in weights[:-1]:
            bounds.append(bounds[-1] + 100 * weight // sum(weights))
        return tuple(SplitParts([(self, slice(start, end))])
                     for start, end in zip(bounds, [*bounds[1:], 100], strict=True))

    def __add__(self, other: Any) -> Any:
        return SplitParts([(self, None), (other, None)])


class SplitParts(SplitBase):
    """Splits one after the other, each whole or a slice of it in percent."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Iterable[tuple[Any, slice | None]]) -> None:
        self._parts: list[tuple[str, slice | None]] = []
        for split, part in parts:
            inner = split._parts if isinstance(split, SplitParts) else [(str(split), None)]
            self._parts += [(name, _once(name, taken, part)) for name, taken in inner]
        names = [name for name, _ in self._parts]
        if len(set(names)) < len(names) or (ALL in names and len(names) > 1):
            raise DataError(f"Overlap between splits: one of {names} has been added with itself")

    def spec(self) -> str:
        return "+".join(name if part is None else f"{name}[{_bound(part.start)}:"
                        f"{_bound(part.stop)}]" for name, part in self._parts)

    def __str__(self) -> str:
        return self.spec()

    def __repr__(self) -> str:
        return f"SplitParts({self.spec()!r})"


class NamedSplit(str, SplitBase):
    """The name of a split: words parted by dots; it may hold slices and `+`, as in a `split=`.

    Raises DataError for other names.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> NamedSplit:
        for part in str(name).split("+"):
            check_split(part.split("[")[0].split("(")[0].strip())
        return super().__new__(cls, name)

    def spec(self) -> str:
        return str(self)

    def __add__(self, other: Any) -> Any:
        """The two splits together; with a plain string, a string."""
        if isinstance(other, SplitBase):
            return SplitBase.__add__(self, other)
        return str(self) + other

    def __repr__(self) -> str:
        return f"NamedSplit({str(self)!r})"

    def __getnewargs__(self) -> tuple[str]:
        return (str(self),)


class NamedSplitAll(NamedSplit):
    """All splits of a dataset together."""

    __slots__ = ()

    def __new__(cls, name: str = ALL) -> NamedSplitAll:
        return super().__new__(cls, name)  # type: ignore[return-value]

    def __repr__(self) -> str:
        return "NamedSplitAll()"


class Split:
    """`Split.TRAIN`, `.VALIDATION`, `.TEST`, `.ALL`; `Split("dev")` makes a NamedSplit."""

    TRAIN, VALIDATION, TEST = NamedSplit("train"), NamedSplit("validation"), NamedSplit("test")
    ALL = NamedSplitAll()

    def __new__(cls, name: str) -> Any:
        """A NamedSplit; "all" is every split."""
        return NamedSplitAll() if name == ALL else NamedSplit(name)


class PercentSliceMeta(type):
    """Makes a class that is indexed by a slice and returns it."""

    def __getitem__(cls, part: slice) -> slice:
        if not isinstance(part, slice) or part.step is not None:
            raise DataError(f"percent[{part!r}]: expected a slice without a step, such as "
                            f"percent[:25]")
        return part


class PercentSlice(metaclass=PercentSliceMeta):
    """`percent[10:20]`: a slice for `subsplit`."""


percent = PercentSlice


def _parts(number: int) -> int:
    if not 0 < number <= 100:
        raise DataError(f"subsplit: got k={number}. Expected 1 to 100 parts")
    return number


def _once(name: str, taken: slice | None, part: slice | None) -> slice | None:
    if taken is not None and part is not None:
        raise DataError(f"Trying to slice split {name!r} which has already been sliced")
    return taken if part is None else part


def _bound(value: int | None) -> str:
    return "" if value is None else f"{value}%"
