"""`datasets.exceptions`."""

from enfold.data.builder import (
    ChecksumVerificationError,
    DatasetBuildError,
    DatasetGenerationCastError,
    DatasetGenerationError,
    ExpectedMoreDownloadedFilesError,
    ExpectedMoreSplitsError,
    FileFormatError,
    ManualDownloadError,
    NonMatchingChecksumError,
    NonMatchingSplitsSizesError,
    SplitsVerificationError,
    UnexpectedDownloadedFileError,
    UnexpectedSplitsError,
)
from enfold.data.datafiles import DataFilesNotFoundError
from enfold.data.load import DatasetNotFoundError
from enfold.errors import EnfoldError as DatasetsError

__all__ = ["ChecksumVerificationError", "DataFilesNotFoundError", "DatasetBuildError",
           "DatasetGenerationCastError", "DatasetGenerationError", "DatasetNotFoundError",
           "DatasetsError", "ExpectedMoreDownloadedFilesError", "ExpectedMoreSplitsError",
           "FileFormatError", "ManualDownloadError", "NonMatchingChecksumError",
           "NonMatchingSplitsSizesError", "SplitsVerificationError",
           "UnexpectedDownloadedFileError", "UnexpectedSplitsError"]
