"""Columns of arrays of 2 to 5 dimensions: `Array2D` .. `Array5D`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from enfold.data.features.arraytypes import ARRAY_TYPES, ArrayType
from enfold.data.features.errors import FeatureError


@dataclass
class _ArrayXD:
    """An array of fixed shape in each row; the first dimension may be None: of any size."""

    shape: tuple[int | None, ...]
    dtype: str
    id: str | None = field(default=None, repr=False)
    _type: str = field(default="", init=False, repr=False)
    ndim: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.shape = tuple(self.shape)
        name = type(self).__name__
        if len(self.shape) != self.ndim:
            raise FeatureError(f"{name}: got shape={self.shape}. Expected {self.ndim} dimensions")
        if None in self.shape[1:]:
            raise FeatureError(f"{name}: got shape={self.shape}. Expected sizes: only the first "
                               "dimension may be None")

    def __call__(self) -> ArrayType:
        return ARRAY_TYPES[self.ndim](self.shape, self.dtype)

    def encode_example(self, value: Any) -> Any:
        """The value itself: nested lists or a numpy array."""
        return value


@dataclass
class Array2D(_ArrayXD):
    """Arrays of shape (d0, d1), d0 may be None; `dtype` as in `Value`."""

    _type: str = field(default="Array2D", init=False, repr=False)
    ndim: ClassVar[int] = 2


@dataclass
class Array3D(_ArrayXD):
    """Arrays of shape (d0, d1, d2), d0 may be None; `dtype` as in `Value`."""

    _type: str = field(default="Array3D", init=False, repr=False)
    ndim: ClassVar[int] = 3


@dataclass
class Array4D(_ArrayXD):
    """Arrays of shape (d0, .., d3), d0 may be None; `dtype` as in `Value`."""

    _type: str = field(default="Array4D", init=False, repr=False)
    ndim: ClassVar[int] = 4


@dataclass
class Array5D(_ArrayXD):
    """Arrays of shape (d0, .., d4), d0 may be None; `dtype` as in `Value`."""

    _type: str = field(default="Array5D", init=False, repr=False)
    ndim: ClassVar[int] = 5


ARRAYS: dict[int, type[_ArrayXD]] = {kind.ndim: kind for kind in
                                     (Array2D, Array3D, Array4D, Array5D)}
