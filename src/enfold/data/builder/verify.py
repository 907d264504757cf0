"""Whether what was made is what was expected, and what is on disk is whole."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from logging import getLogger
from typing import Any

from enfold.data.builder.errors import (
    ExpectedMoreDownloadedFilesError,
    ExpectedMoreSplitsError,
    NonMatchingChecksumError,
    NonMatchingSplitsSizesError,
    UnexpectedDownloadedFileError,
    UnexpectedSplitsError,
)
from enfold.data.info import DatasetInfo
from enfold.data.splits import filenames_for_dataset_split

_log = getLogger(__name__)
_SKIP = "Do: pass verification_mode='no_checks' to take the data as it is"
_ENDS = {"arrow": (b"\xff\xff\xff\xff\0\0\0\0", b"ARROW1"), "parquet": (b"PAR1",)}


class VerificationMode(enum.Enum):
    """What is compared with what a dataset's info expects.

        ALL_CHECKS     splits and their rows, sizes and checksums of downloaded files
        BASIC_CHECKS   splits and their rows (the default)
        NO_CHECKS      nothing
    """

    ALL_CHECKS = "all_checks"
    BASIC_CHECKS = "basic_checks"
    NO_CHECKS = "no_checks"


def verify_checksums(expected_checksums: Mapping[str, Any] | None,
                     recorded_checksums: Mapping[str, Any],
                     verification_name: str | None = None) -> None:
    """Compare {URL: {"num_bytes", "checksum"}}.  Raises a ChecksumVerificationError."""
    what = verification_name or "downloads"
    if expected_checksums is None:
        _log.info("Unable to verify checksums of %s: none are known", what)
        return
    if missing := sorted(expected_checksums.keys() - recorded_checksums.keys()):
        raise ExpectedMoreDownloadedFilesError(f"{what}: not downloaded: {missing}. {_SKIP}")
    if more := sorted(recorded_checksums.keys() - expected_checksums.keys()):
        raise UnexpectedDownloadedFileError(f"{what}: downloaded without being expected: {more}. "
                                            f"{_SKIP}")
    wrong = [url for url, told in expected_checksums.items() if told != recorded_checksums[url]]
    if wrong:
        raise NonMatchingChecksumError(f"Checksums didn't match for {what}: {wrong}. {_SKIP}")


def verify_splits(expected_splits: Mapping[str, Any] | None,
                  recorded_splits: Mapping[str, Any]) -> None:
    """Compare the names and rows of splits.  Raises a SplitsVerificationError."""
    if expected_splits is None:
        _log.info("Unable to verify splits sizes: none are known")
        return
    if missing := sorted(expected_splits.keys() - recorded_splits.keys()):
        raise ExpectedMoreSplitsError(f"the splits {missing} are missing. {_SKIP}")
    if more := sorted(recorded_splits.keys() - expected_splits.keys()):
        raise UnexpectedSplitsError(f"the splits {more} were not expected. {_SKIP}")
    wrong = [f"{name!r} has {recorded_splits[name].num_examples} rows, expected "
             f"{split.num_examples}" for name, split in expected_splits.items()
             if split.num_examples != recorded_splits[name].num_examples]
    if wrong:
        raise NonMatchingSplitsSizesError(f"splits of another size than the dataset's info says: "
                                          f"{'; '.join(wrong)}. {_SKIP}")


def damage(folder: str, info: DatasetInfo, dataset_name: str) -> str | None:
    """What is wrong with a prepared dataset's files: one is missing or cut off."""
    for split in (info.splits or {}).values():
        problems = [_broken(folder, dataset_name, split, kind) for kind in _ENDS]
        if all(problems):
            return problems[0]
    return None


def _broken(folder: str, dataset_name: str, split: Any, kind: str) -> str | None:
    for path in filenames_for_dataset_split(folder, dataset_name, split.name, kind,
                                            split.shard_lengths):
        if not os.path.isfile(path):
            return f"{path} is missing"
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 8))
            if not file.read().endswith(_ENDS[kind]):
                return f"{path} is cut off"
    return None
