"""What building a dataset raises, under the names of `datasets.exceptions`."""

from __future__ import annotations

from enfold.errors import DataError


class DatasetBuildError(DataError):
    """A dataset that can't be built."""


class ManualDownloadError(DatasetBuildError):
    """Files that the user has to fetch are not there."""


class FileFormatError(DatasetBuildError):
    """A prepared dataset in a format that can't be read as one."""


class DatasetGenerationError(DatasetBuildError):
    """A builder failed while it made the data; the cause is what it raised."""


class DatasetGenerationCastError(DatasetGenerationError):
    """Data that does not have the columns or types of the dataset."""


class AmbiguousShards(DatasetBuildError, RuntimeError):  # noqa: N818
    """Lists of different lengths that several processes should share out."""


class InvalidConfigName(DataError):  # noqa: N818 - its public name
    """A configuration's name that can't be the name of a folder."""


class ChecksumVerificationError(DataError):
    """Downloaded files are not those that were expected."""


class UnexpectedDownloadedFileError(ChecksumVerificationError):
    """A file was downloaded that was not expected."""


class ExpectedMoreDownloadedFilesError(ChecksumVerificationError):
    """A file that was expected was not downloaded."""


class NonMatchingChecksumError(ChecksumVerificationError):
    """A downloaded file has another size or checksum than expected."""


class SplitsVerificationError(DataError):
    """Splits are not those that were expected."""


class UnexpectedSplitsError(SplitsVerificationError):
    """A split that was not expected."""


class ExpectedMoreSplitsError(SplitsVerificationError):
    """A split that was expected is missing."""


class NonMatchingSplitsSizesError(SplitsVerificationError):
    """A split has another number of rows than expected."""
