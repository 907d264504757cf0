"""Builders: what makes a dataset's files in the cache, and reads them."""

from enfold.data.builder.base import DatasetBuilder, cache_root
from enfold.data.builder.config import BuilderConfig
from enfold.data.builder.errors import (
    AmbiguousShards,
    ChecksumVerificationError,
    DatasetBuildError,
    DatasetGenerationCastError,
    DatasetGenerationError,
    ExpectedMoreDownloadedFilesError,
    ExpectedMoreSplitsError,
    FileFormatError,
    InvalidConfigName,
    ManualDownloadError,
    NonMatchingChecksumError,
    NonMatchingSplitsSizesError,
    SplitsVerificationError,
    UnexpectedDownloadedFileError,
    UnexpectedSplitsError,
)
from enfold.data.builder.generate import ArrowBasedBuilder, GeneratorBasedBuilder, Key
from enfold.data.builder.verify import VerificationMode, verify_checksums, verify_splits

__all__ = ["AmbiguousShards", "ArrowBasedBuilder", "BuilderConfig", "ChecksumVerificationError",
           "DatasetBuildError", "DatasetBuilder", "DatasetGenerationCastError",
           "DatasetGenerationError", "ExpectedMoreDownloadedFilesError",
           "ExpectedMoreSplitsError", "FileFormatError", "GeneratorBasedBuilder",
           "InvalidConfigName", "Key", "ManualDownloadError", "NonMatchingChecksumError",
           "NonMatchingSplitsSizesError", "SplitsVerificationError",
           "UnexpectedDownloadedFileError", "UnexpectedSplitsError", "VerificationMode",
           "cache_root", "verify_checksums", "verify_splits"]
