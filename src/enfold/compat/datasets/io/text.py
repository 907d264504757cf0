"""`datasets.io.text`."""

from enfold.compat.datasets.io.abc import AbstractDatasetReader


class TextDatasetReader(AbstractDatasetReader):
    """Reads text files."""

    kind = "text"
