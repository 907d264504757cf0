"""Functions as tools: the schema is transformers', and what can't be told is said."""

# no postponed annotations here: transformers reads these functions too
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import pytest

from enfold.errors import TokenizerError
from enfold.text import get_json_schema


class Unit(Enum):
    C = "celsius"
    F = "fahrenheit"


def get_weather(city: str, days: int = 3, unit: list[str] | None = None) -> dict:
    """
    The weather of a city.
    Over some days.

    Args:
        city: The city, e.g.
            Paris.
        days: How many (choices: [1, 2, 3])
        unit: Units: either

    Returns:
        A dict.
    """
    return {}


def many(a: int | str, b: Literal["x", 1], c: tuple[int, str], d: dict[str, float], e: Unit,
         f: list, g: Any, h: float | None, i: list[int] | str, j: bool = True) -> object:
    """Does much.

    Args:
        a: a
        b: b
        c: c
        d: d
        e: e
        f: f
        g: g
        h: h
        i: i
        j: j
    """
    return None


class Holder:
    def method(self, x: int) -> int:
        """A method.

        Args:
            x: x

        Raises:
            ValueError: never
        """
        return x


@pytest.mark.parametrize("function", [get_weather, many, Holder().method])
def test_the_schema_is_transformers(function: Callable[..., Any]) -> None:
    from transformers.utils import get_json_schema as theirs

    assert get_json_schema(function) == theirs(function)


def untyped(x):  # type: ignore[no-untyped-def]
    """Doc.

    Args:
        x: x
    """


def undescribed(x: int) -> None:
    """Doc."""


def undocumented(x: int) -> None:
    pass


def odd(x: Holder) -> None:
    """Doc.

    Args:
        x: x
    """


def single(x: tuple[int]) -> None:
    """Doc.

    Args:
        x: x
    """


def choices(x: Literal[b"x"]) -> None:
    """Doc.

    Args:
        x: x
    """


@pytest.mark.parametrize(("function", "message"), [
    (untyped, "'x' has no type hint. Do: def untyped.x: str."),
    (undescribed, "no description of 'x'. Do: add a line 'x: ...' under Args:"),
    (undocumented, "tool undocumented: it has no docstring"),
    (odd, "has no JSON schema. Expected str"),
    (single, "a tuple of one or of any number"),
    (choices, "must be str, int, float, bool or None")])
def test_what_can_not_be_told(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        get_json_schema(function)
