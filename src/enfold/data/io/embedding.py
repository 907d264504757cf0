"""Files that a table names read into it, so that it can go elsewhere without them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from enfold.data.features import Features, embed_array
from enfold.data.features.arrow import needs_embedding
from enfold.errors import DataFileError


class NamedFileMissing(DataFileError, FileNotFoundError):  # noqa: N818 - as FileMissing
    """A file that a column names and that is not there."""


def embedded(table: pa.Table, features: Features, token_per_repo_id: Any = None,
             local_files: bool = True, remote_files: bool = True) -> pa.Table:
    """The table with the content of the files (images, audio, ...) that its columns name."""
    for number, name in enumerate(table.column_names):
        if needs_embedding(features[name]):
            try:
                column = embed_array(table.column(number), features[name], token_per_repo_id,
                                     local_files, remote_files)
            except FileNotFoundError as error:
                raise NamedFileMissing(
                    f"column {name!r} names a file that is not there: {error}. Expected it, for "
                    "files are put into the data. Do: put it back, or cast the column to "
                    "{'bytes': Value('binary'), 'path': Value('string')} to keep names only"
                    ) from error
            table = table.set_column(number, table.schema.field(number), column)
    return table
