"""Scalar columns: `Value` and the names of Arrow's types.

A dtype is the name of an Arrow type, with its parameters where it has some:

    null bool int8..int64 uint8..uint64 float16 float32 (float) float64 (double)
    string large_string string_view binary large_binary binary_view fixed_size_binary[N]
    date32 date64 time32[s|ms] time64[us|ns] duration[s|ms|us|ns]
    timestamp[s|ms|us|ns] timestamp[s|ms|us|ns, tz=ZONE] decimal128(P, S) decimal256(P, S)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.features.errors import FeatureError
from enfold.errors import nearest

_WIDTHS = (8, 16, 32, 64)
_PLAIN: dict[str, pa.DataType] = {
    "null": pa.null(), "bool": pa.bool_(), "bool_": pa.bool_(),
    **{f"int{bits}": getattr(pa, f"int{bits}")() for bits in _WIDTHS},
    **{f"uint{bits}": getattr(pa, f"uint{bits}")() for bits in _WIDTHS},
    "float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64(),
    "date32": pa.date32(), "date64": pa.date64(),
    "string": pa.string(), "large_string": pa.large_string(), "string_view": pa.string_view(),
    "binary": pa.binary(), "large_binary": pa.large_binary(), "binary_view": pa.binary_view(),
    "utf8": pa.string(), "large_utf8": pa.large_string(),
}
_NAMES = {arrow: name for name, arrow in reversed(_PLAIN.items())}  # the first name of a type wins
_ALIASES = {"double": "float64", "float": "float32"}
_UNIT = "(s|ms|us|ns)"
_SIZES = r"(\d+),\s*(-?\d+)"
_PARAMETRIC: tuple[tuple[str, Callable[..., pa.DataType]], ...] = (
    (rf"timestamp\[{_UNIT}(?:,\s*tz=([a-zA-Z0-9/_+\-:]*))?\]", pa.timestamp),
    (rf"duration\[{_UNIT}\]", pa.duration),
    (r"time32\[(s|ms)\]", pa.time32),
    (r"time64\[(us|ns)\]", pa.time64),
    (rf"decimal128\({_SIZES}\)", lambda p, s: pa.decimal128(int(p), int(s))),
    (rf"decimal256\({_SIZES}\)", lambda p, s: pa.decimal256(int(p), int(s))),
    (r"fixed_size_binary\[(\d+)\]", lambda n: pa.binary(int(n))),
)
_EXAMPLES = ("timestamp[us]", "timestamp[us, tz=UTC]", "duration[s]", "time32[s]", "time64[us]",
             "decimal128(10, 2)", "decimal256(40, 2)", "fixed_size_binary[16]")


def arrow_of(dtype: str) -> pa.DataType:
    """The Arrow type that a dtype names.  Raises `FeatureError` with near names otherwise."""
    if dtype in _PLAIN:
        return _PLAIN[dtype]
    for pattern, build in _PARAMETRIC:
        if found := re.fullmatch(pattern, dtype):
            return build(*(group for group in found.groups() if group is not None))
    known = [*_PLAIN, *_EXAMPLES]
    hint = "Do: write Json()" if dtype == "json" else f"Expected one of: {', '.join(known)}"
    raise FeatureError(f"Value: no dtype is named {dtype!r}{nearest(dtype, known)}. {hint}")


def dtype_of(arrow: pa.DataType) -> str:
    """The dtype that names a scalar Arrow type; of a dictionary, that of its values."""
    if pa.types.is_dictionary(arrow):
        return dtype_of(arrow.value_type)
    name = _NAMES.get(arrow) or _parametric_name(arrow)
    if name is None:
        raise FeatureError(f"Value: the Arrow type {arrow} has no dtype. Expected a scalar type: "
                           "use List, a dict of features or Array2D for nested ones, or cast the "
                           "column to a type that has one")
    return name


def _parametric_name(arrow: pa.DataType) -> str | None:
    types = pa.types
    if types.is_timestamp(arrow):
        return f"timestamp[{arrow.unit}, tz={arrow.tz}]" if arrow.tz else f"timestamp[{arrow.unit}]"
    if types.is_decimal128(arrow) or types.is_decimal256(arrow):
        return f"decimal{arrow.bit_width}({arrow.precision}, {arrow.scale})"
    if types.is_fixed_size_binary(arrow):
        return f"fixed_size_binary[{arrow.byte_width}]"
    return str(arrow) if types.is_time(arrow) or types.is_duration(arrow) else None


@dataclass(repr=False)
class Value:
    """A scalar column.

    dtype: the name of its Arrow type (the module's docstring lists them).
    """

    dtype: str
    id: str | None = field(default=None, repr=False)
    pa_type: ClassVar[Any] = None
    _type: str = field(default="Value", init=False, repr=False)

    def __post_init__(self) -> None:
        self.dtype = _ALIASES.get(self.dtype, self.dtype)
        self.pa_type = arrow_of(self.dtype)  # type: ignore[misc]

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: Any) -> Any:
        """`value` as the Python type of the column: 3 for "3" in an int32."""
        convert = _python_type(self.pa_type)
        return convert(value) if convert else value

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.dtype}')"


def _python_type(arrow: pa.DataType) -> Callable[[Any], Any] | None:
    types = pa.types
    if types.is_boolean(arrow):
        return bool
    if types.is_integer(arrow):
        return int
    if types.is_floating(arrow):
        return float
    return str if is_text(arrow) else None


def is_text(arrow: pa.DataType) -> bool:
    """Whether it is one of Arrow's three string types."""
    types = pa.types
    return bool(types.is_string(arrow) or types.is_large_string(arrow)
                or types.is_string_view(arrow))
