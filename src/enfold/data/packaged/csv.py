"""CSV and TSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig

# arguments of the configuration that pandas.read_csv does not have
_NOT_PANDAS = {"name", "version", "data_dir", "data_files", "description", "features", "strict",
               "column_names", "delimiter", "mangle_dupe_cols", "error_bad_lines",
               "warn_bad_lines"}


@dataclass
class CsvConfig(SourceConfig):
    """The arguments of `pandas.read_csv`; see `enfold.data.sources.dialect` for what they do."""

    sep: str = ","
    delimiter: str | None = None
    header: int | list[int] | str | None = "infer"
    names: list[str] | None = None
    column_names: list[str] | None = None
    index_col: int | str | list[int] | list[str] | None = None
    usecols: list[int] | list[str] | None = None
    prefix: str | None = None
    mangle_dupe_cols: bool = True
    engine: str | None = None
    converters: dict[int | str, Callable[[Any], Any]] | None = None
    true_values: list[str] | None = None
    false_values: list[str] | None = None
    skipinitialspace: bool = False
    skiprows: int | list[int] | None = None
    nrows: int | None = None
    na_values: str | list[str] | None = None
    keep_default_na: bool = True
    na_filter: bool = True
    verbose: bool = False
    skip_blank_lines: bool = True
    thousands: str | None = None
    decimal: str = "."
    lineterminator: str | None = None
    quotechar: str = '"'
    quoting: int = 0
    escapechar: str | None = None
    comment: str | None = None
    encoding: str | None = None
    dialect: str | None = None
    error_bad_lines: bool = True
    warn_bad_lines: bool = True
    skipfooter: int = 0
    doublequote: bool = True
    memory_map: bool = False
    float_precision: str | None = None
    chunksize: int = 10_000
    encoding_errors: str | None = "strict"
    on_bad_lines: str = "error"
    date_format: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delimiter is not None:
            self.sep = self.delimiter
        if self.column_names is not None:
            self.names = self.column_names

    @property
    def pd_read_csv_kwargs(self) -> dict[str, Any]:
        """The same for pandas.read_csv."""
        unset = {"names", "prefix", "verbose"}
        return {name: value for name, value in vars(self).items() if name not in _NOT_PANDAS
                and not (name in unset and not value)}


class Csv(SourceBuilder):
    """`load_dataset("csv", data_files=...)`."""

    BUILDER_CONFIG_CLASS = CsvConfig
    FORMAT: ClassVar[str] = "csv"

    def _options(self) -> dict[str, Any]:
        given = super()._options()
        for alias, name in (("delimiter", "sep"), ("column_names", "names")):
            if alias in given:
                given.pop(name, None)
        return given
