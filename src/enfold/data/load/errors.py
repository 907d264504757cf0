"""What loading raises for datasets that are not there."""

from __future__ import annotations

from enfold.errors import FileMissing


class DatasetNotFoundError(FileMissing, FileNotFoundError):
    """A dataset, or a revision of it, that is not there or can't be accessed."""
