"""`datasets.io.csv`."""

from enfold.compat.datasets.io.abc import AbstractDatasetReader, DatasetWriter


class CsvDatasetReader(AbstractDatasetReader):
    """Reads Csv files."""

    kind = "csv"


class CsvDatasetWriter(DatasetWriter):
    """Writes Csv files."""

    method = "to_csv"
