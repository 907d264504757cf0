"""`datasets.io.json`."""

from enfold.compat.datasets.io.abc import AbstractDatasetReader, DatasetWriter


class JsonDatasetReader(AbstractDatasetReader):
    """Reads Json files."""

    kind = "json"


class JsonDatasetWriter(DatasetWriter):
    """Writes Json files."""

    method = "to_json"
