"""What `pandas.read_csv` is told about a CSV file, in as far as pyarrow's parser can do it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from enfold.errors import ArgumentError, unknown_arguments

# what pandas reads as missing
NULLS = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
         "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
# these choose how pandas works, not what it reads
WITHOUT_EFFECT = {"engine", "memory_map", "float_precision", "low_memory", "verbose",
                  "mangle_dupe_cols", "prefix", "error_bad_lines", "warn_bad_lines"}
# option -> the value under which it asks for nothing
NOT_DONE: dict[str, Any] = {
    "index_col": None, "converters": None, "thousands": None, "comment": None, "dialect": None,
    "lineterminator": None, "skipfooter": 0, "skipinitialspace": False, "date_format": None,
    "parse_dates": None, "dtype": None}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one CSV file is written and which of it is wanted.

    header: the row of names, counted after `skiprows` and without blank lines; None: there is none.
    names: instead of the header's.  usecols: names or numbers of columns.  nrows: at most so many.
    nulls, trues, falses: values that are missing, true, false.  infer_rows: as many decide types.
    bad_lines: "error", "warn" or "skip" for rows with more fields than the header.
    """

    sep: str = ","
    header: int | None = 0
    names: tuple[str, ...] | None = None
    usecols: tuple[str | int, ...] | None = None
    skiprows: int = 0
    nrows: int | None = None
    quotechar: str | None = '"'
    doublequote: bool = True
    escapechar: str | None = None
    decimal: str = "."
    encoding: str | None = None
    encoding_errors: str = "strict"
    nulls: tuple[str, ...] = NULLS
    trues: tuple[str, ...] = TRUE
    falses: tuple[str, ...] = FALSE
    skip_blank: bool = True
    bad_lines: str = "error"
    infer_rows: int = 10_000

    @classmethod
    def of(cls, options: dict[str, Any]) -> Dialect:
        """From the keyword arguments of pandas and `datasets`.

        Raises ArgumentError for a name neither has, NotImplementedError for what is not done.
        """
        given = {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}
        for name, idle in NOT_DONE.items():
            if (value := given.pop(name, idle)) != idle and value is not None:
                raise _not_done(f"{name}={value!r}")
        if unknown := [name for name in given if name not in TAKEN]:
            raise unknown_arguments("csv", unknown, {*TAKEN, *NOT_DONE, *WITHOUT_EFFECT})
        names = _either(given, "column_names", "names")
        return cls(
            sep=_character("sep", _either(given, "delimiter", "sep") or ","),
            header=_header(given.get("header", "infer"), names is not None),
            names=tuple(map(str, names)) if names is not None else None,
            usecols=_usecols(given.get("usecols")), skiprows=_skiprows(given.get("skiprows")),
            nrows=given.get("nrows"), quotechar=_quotechar(given),
            doublequote=given.get("doublequote", True), decimal=given.get("decimal", "."),
            escapechar=_character("escapechar", given.get("escapechar")),
            encoding=given.get("encoding"),
            encoding_errors=given.get("encoding_errors") or "strict", nulls=_nulls(given),
            trues=TRUE + tuple(map(str, given.get("true_values") or ())),
            falses=FALSE + tuple(map(str, given.get("false_values") or ())),
            skip_blank=given.get("skip_blank_lines", True),
            bad_lines=_bad_lines(given.get("on_bad_lines", "error")),
            infer_rows=given.get("chunksize") or 10_000)


TAKEN = {"sep", "delimiter", "header", "names", "column_names", "usecols", "skiprows", "nrows",
         "quotechar", "quoting", "doublequote", "escapechar", "decimal", "encoding",
         "encoding_errors", "na_values", "keep_default_na", "na_filter", "true_values",
         "false_values", "skip_blank_lines", "on_bad_lines", "chunksize"}


def _not_done(what: str) -> NotImplementedError:
    return NotImplementedError(f"csv: {what} is not done here. Do: read the file with "
                               f"pandas.read_csv and pass the frame to Dataset.from_pandas()")


def _either(options: dict[str, Any], first: str, second: str) -> Any:
    value = options.get(first)
    return value if value is not None else options.get(second)


def _character(name: str, value: Any) -> Any:
    if value is not None and (not isinstance(value, str) or len(value.encode()) != 1):
        raise _not_done(f"{name}={value!r}, which is not one ASCII character,")
    return value


def _header(value: Any, named: bool) -> int | None:
    if value == "infer":
        return None if named else 0
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise _not_done(f"header={value!r}")


def _skiprows(value: Any) -> int:
    if value is None or isinstance(value, int):
        return value or 0
    rows = sorted(value) if isinstance(value, Sequence) else None
    if rows == list(range(len(rows or ()))):
        return len(rows or ())
    raise _not_done(f"skiprows={value!r}, other than the first rows,")


def _usecols(value: Any) -> tuple[str | int, ...] | None:
    if value is None:
        return None
    if callable(value) or isinstance(value, str):
        raise _not_done(f"usecols={value!r}, other than a list of names or numbers,")
    return tuple(value)


def _quotechar(options: dict[str, Any]) -> str | None:
    quoting = int(options.get("quoting") or 0)
    if quoting == 2:
        raise _not_done("quoting=csv.QUOTE_NONNUMERIC")
    if quoting not in (0, 1, 3):
        raise ArgumentError(f"csv: quoting={quoting}. Expected 0 (minimal), 1 (all) or 3 (none)")
    value = options.get("quotechar", '"')
    return None if quoting == 3 or not value else str(_character("quotechar", value))


def _nulls(options: dict[str, Any]) -> tuple[str, ...]:
    values = options.get("na_values") or ()
    if isinstance(values, dict):
        raise _not_done("na_values= as a dict")
    if not options.get("na_filter", True):
        return ()
    own = (values,) if isinstance(values, str | int | float) else tuple(values)
    return (NULLS if options.get("keep_default_na", True) else ()) + tuple(map(str, own))


def _bad_lines(value: Any) -> str:
    if callable(value):
        raise _not_done("on_bad_lines= as a function")
    if value not in ("error", "warn", "skip"):
        raise ArgumentError(f"csv: on_bad_lines={value!r}. Expected 'error', 'warn' or 'skip'")
    return str(value)
