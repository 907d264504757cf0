"""`datasets.io.parquet`."""

from enfold.compat.datasets.io.abc import AbstractDatasetReader, DatasetWriter


class ParquetDatasetReader(AbstractDatasetReader):
    """Reads Parquet files."""

    kind = "parquet"


class ParquetDatasetWriter(DatasetWriter):
    """Writes Parquet files."""

    method = "to_parquet"
