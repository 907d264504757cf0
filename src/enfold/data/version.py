"""`Version`: the MAJOR.MINOR.PATCH of a dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import total_ordering
from typing import Any

from enfold.errors import DataError

_FORM = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@total_ordering
@dataclass(eq=False)
class Version:
    """A version `x.y.z`; equal to, and ordered against, versions and such strings.

    version_str: "1.0.0".  description: what is new in it.  major, minor, patch: read from the
    string.  Raises DataError for another form.
    """

    version_str: str
    description: str | None = None
    major: str | int | None = None
    minor: str | int | None = None
    patch: str | int | None = None

    def __post_init__(self) -> None:
        match = _FORM.fullmatch(self.version_str)
        if match is None:
            raise DataError(f"Invalid version {self.version_str!r}. Expected x.y.z with "
                            f"{{x,y,z}} being digits, such as '1.0.0'")
        self.major, self.minor, self.patch = (int(part) for part in match.groups())

    @property
    def tuple(self) -> tuple[Any, ...]:
        """(major, minor, patch)."""
        return self.major, self.minor, self.patch

    @classmethod
    def from_dict(cls, dic: Mapping[str, Any]) -> Version:
        """From the fields in a dict; other keys are left out."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in dic.items() if name in names})

    def _to_yaml_string(self) -> str:
        return self.version_str

    def __eq__(self, other: object) -> bool:
        try:
            return self.tuple == _as_version(other).tuple
        except (TypeError, ValueError):
            return False

    def __lt__(self, other: object) -> bool:
        return self.tuple < _as_version(other).tuple

    def __hash__(self) -> int:
        return hash(repr(self))  # that of the string it equals

    def __repr__(self) -> str:
        return ".".join(map(str, self.tuple))


def _as_version(other: object) -> Version:
    if isinstance(other, Version):
        return other
    if isinstance(other, str):
        return Version(other)
    raise TypeError(f"{other!r} ({type(other).__name__}) cannot be compared to a version. "
                    f"Expected a Version or a string such as '1.0.0'")
