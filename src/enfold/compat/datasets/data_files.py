"""`datasets.data_files`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from enfold.data.datafiles import (
    DataFilesDict,
    DataFilesList,
    DataFilesPatternsDict,
    DataFilesPatternsList,
    EmptyDatasetError,
    get_data_patterns,
    resolve_pattern,
    sanitize_patterns,
)
from enfold.data.sources import patterns as rules

__all__ = ["DataFilesDict", "DataFilesList", "DataFilesPatternsDict", "DataFilesPatternsList",
           "EmptyDatasetError", "get_data_patterns", "resolve_pattern", "sanitize_patterns"]


def _get_data_files_patterns(
        pattern_resolver: Callable[[str], list[str]]) -> dict[str, list[str]]:
    """The patterns of each split, where a function tells the files of a pattern."""
    if shards := pattern_resolver(rules.SHARDS.format(split="*")):
        return rules.sharded({PurePath(name).name for name in shards})
    for patterns in rules.DEFAULTS:
        found = {split: forms for split, forms in patterns.items()
                 if any(pattern_resolver(form) for form in forms)}
        if found:
            return found
    raise FileNotFoundError("there are no data files")
