"""Hypothesis strategies: a feature (as the text of an expression) and a column of its values.

Expressions, because the same one is evaluated with our classes and with those of `datasets`.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Drawn = tuple[str, Any]  # an expression and the strategy of its values

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_DATES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))


def _integers(dtype: str) -> st.SearchStrategy[int]:
    bits = int(dtype.lstrip("uint"))
    low, high = (0, 2**bits - 1) if dtype[0] == "u" else (-2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return st.integers(low, high)


def _cut(seconds: int) -> Any:
    return lambda moment: moment.replace(microsecond=moment.microsecond // seconds * seconds)


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    **{f"Value('{d}')": _integers(d) for d in ("int8", "int16", "int32", "int64", "uint8", "uint16",
                                               "uint32", "uint64")},
    **{f"Value('float{bits}')": st.floats(width=bits, allow_nan=False) for bits in (16, 32, 64)},
    "Value('null')": st.none(),
    "Value('bool')": st.booleans(),
    "Value('string')": _TEXT, "Value('large_string')": _TEXT,
    "Value('binary')": st.binary(max_size=5), "Value('large_binary')": st.binary(max_size=5),
    "Value('date32')": st.dates(),
    "Value('date64')": st.dates(),
    "Value('time32[s]')": st.times().map(lambda time: time.replace(microsecond=0)),
    "Value('time64[us]')": st.times(),
    "Value('timestamp[s]')": _DATES.map(_cut(1_000_000)),
    "Value('timestamp[us, tz=UTC]')": _DATES.map(lambda d: d.replace(tzinfo=dt.UTC)),
    "Value('timestamp[ms]')": _DATES.map(_cut(1_000)),
    "Value('duration[us]')": st.timedeltas(dt.timedelta(-999), dt.timedelta(999)),
    "Value('decimal128(6, 2)')": st.integers(-9999, 9999).map(lambda n: Decimal(n) / 100),
    "Value('decimal256(40, 0)')": st.integers(-10**30, 10**30).map(Decimal),
    "ClassLabel(names=['neg', 'pos'])": st.sampled_from(["neg", "pos", 0, 1, -1]),
    "ClassLabel(num_classes=3)": st.sampled_from(["0", 2]),
    "Image()": st.binary(min_size=1, max_size=5).map(lambda b: {"bytes": b, "path": "a.png"}),
    "Image(mode='RGB', decode=False)": st.just({"bytes": None, "path": "b.png"}),
    "Audio(sampling_rate=16000, decode=False)": st.just({"bytes": b"x", "path": None}),
    "Video(decode=False)": st.just({"bytes": b"x", "path": None}),
    "Pdf(decode=False)": st.just({"bytes": b"x", "path": None}),
    "Nifti(decode=False)": st.just({"bytes": b"x", "path": None}),
    "Translation(languages=['fr', 'en'])": st.fixed_dictionaries({"en": _TEXT, "fr": _TEXT}),
    "TranslationVariableLanguages(languages=['fr', 'en'])":
        st.just({"fr": ["a", "b"], "en": "c"}),
    "Json()": st.sampled_from([{"a": [1, None]}, [1, "x"], True, {"b": {"c": 1.5}}]),
    "Array2D((2, 3), 'int32')": st.just([[1, 2, 3], [4, 5, 6]]),
    "Array2D((None, 2), 'float64')":
        st.lists(st.just([0.5, 1.5]), max_size=3),
    "Array3D((1, 2, 2), 'uint8')": st.just([[[1, 2], [3, 255]]]),
    "Array4D((1, 1, 1, 2), 'bool')": st.just([[[[True, False]]]]),
    "Array5D((1, 1, 1, 1, 2), 'int64')": st.just([[[[[1, 2**60]]]]]),
}


def _nested(inner: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    def lists(kind: str) -> st.SearchStrategy[Drawn]:
        return inner.map(lambda f: (f"{kind}({f[0]})", st.lists(f[1], max_size=3)))

    def fixed(item: Drawn) -> Drawn:
        return f"List({item[0]}, length=2)", st.lists(item[1], min_size=2, max_size=2)

    def struct(items: list[Drawn]) -> Drawn:
        fields = dict(zip("abc", items, strict=False))
        text = ", ".join(f"'{name}': {item[0]}" for name, item in fields.items())
        return f"{{{text}}}", st.fixed_dictionaries({n: item[1] for n, item in fields.items()})

    return st.one_of(lists("List"), lists("LargeList"), inner.map(fixed),
                     st.lists(inner, min_size=1, max_size=3).map(struct))


def _nullable(drawn: Drawn) -> Drawn:
    return drawn[0], st.none() | drawn[1]


def features() -> st.SearchStrategy[Drawn]:
    """An expression and the strategy of its values, None among them at every depth."""
    scalars = st.sampled_from(sorted(SCALARS)).map(lambda text: (text, st.none() | SCALARS[text]))
    return st.recursive(scalars, lambda inner: _nested(inner).map(_nullable), max_leaves=4)


@st.composite
def tables(draw: Any) -> tuple[str, dict[str, list[Any]]]:
    """The expression of a Features dict, and its columns."""
    drawn = draw(st.lists(features(), min_size=1, max_size=3))
    rows = draw(st.integers(0, 4))
    columns = {f"c{i}": draw(st.lists(values, min_size=rows, max_size=rows))
               for i, (_, values) in enumerate(drawn)}
    text = ", ".join(f"'c{i}': {feature}" for i, (feature, _) in enumerate(drawn))
    return f"{{{text}}}", columns
