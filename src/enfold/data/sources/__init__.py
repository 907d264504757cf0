"""Sources: files, queries and archives as streams of Arrow record batches.

    source = read("csv", ["a.csv", "b.csv.gz"])
    source.schema, source.features, source.promotions
    for batch in source.batches(): ...          # one schema, memory bounded by a block
    table = source.consume(pa.Table.from_batches)   # reads again if a late row widened a column
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from enfold.data.sources.columnar import Arrow, Parquet
from enfold.data.sources.delimited import Csv
from enfold.data.sources.extensions import FORMATS
from enfold.data.sources.hdf5 import Hdf5
from enfold.data.sources.iceberg import Iceberg
from enfold.data.sources.jsons import Json
from enfold.data.sources.lance import Lance
from enfold.data.sources.opening import DataFile, expand
from enfold.data.sources.source import Position, Reader, SchemaGrew, Source
from enfold.data.sources.tables import Sql
from enfold.data.sources.texts import Text, Xml
from enfold.data.sources.webdataset import WebDataset
from enfold.errors import DataError, nearest

__all__ = ["READERS", "DataFile", "Position", "Reader", "SchemaGrew", "Source", "expand", "read"]

READERS: dict[str, Callable[..., Reader]] = {
    "csv": Csv, "json": Json, "parquet": Parquet, "arrow": Arrow, "text": Text, "xml": Xml,
    "webdataset": WebDataset, "sql": Sql, "hdf5": Hdf5, "lance": Lance, "iceberg": Iceberg}


def read(fmt: str, files: str | os.PathLike[str] | Iterable[Any] = (), *, features: Any = None,
         columns: Sequence[str] | None = None, strict: bool = False,
         storage_options: Mapping[str, Any] | None = None, **options: Any) -> Source:
    """What the files hold, as record batches of one schema.

    fmt: "csv", "json", "parquet", "arrow", "text", "xml", "webdataset", "hdf5", "lance"; "sql" and
    "iceberg" take no files.
    files: paths, folders, globs, archives and their members, URLs; see `opening.py`.
    features: `Features` or a schema to cast to.  columns: keep these, in this order.
    strict: raise where a later row or file does not fit the first one's columns, rather than
    widening them.  storage_options: of the URLs' fsspec filesystem.  options: the format's own,
    as `load_dataset` takes them.  Raises DataError, DataFileError, FileMissing.
    """
    if fmt == "pandas":
        raise DataError("pandas: pickled frames are not loaded, because a pickle can run any code "
                        "while it is loaded. Do: if you trust the file, "
                        "Dataset.from_pandas(pandas.read_pickle(file)); else have it written as "
                        "Parquet, Arrow, CSV or JSON")
    if fmt not in READERS and fmt in {name for name, _ in FORMATS.values()}:
        raise NotImplementedError(f"{fmt}: files of this format are not read here. Expected one of "
                                  f"{', '.join(READERS)}. Do: convert them to one of these")
    if fmt not in READERS:
        raise DataError(f"no format is called {fmt!r}{nearest(fmt, READERS)}. "
                        f"Expected one of {', '.join(READERS)}")
    reader = READERS[fmt](columns, **options)
    found = reader.files(files, storage_options)
    if not found:
        raise DataError(f"{fmt}: there are no files to read. Expected at least one")
    return Source(reader, found, features=features, columns=columns, strict=strict)
