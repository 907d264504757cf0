"""Splits: their names, sums and slices, sizes and files."""

from enfold.data.sources.splits import ReadInstruction
from enfold.data.splits.files import (
    FileInstructions,
    camelcase_to_snakecase,
    filename_prefix_for_split,
    filenames_for_dataset_split,
    make_file_instructions,
    snakecase_to_camelcase,
)
from enfold.data.splits.infos import SplitDict, SplitGenerator, SplitInfo, SubSplitInfo
from enfold.data.splits.names import (
    NamedSplit,
    NamedSplitAll,
    PercentSlice,
    Split,
    SplitBase,
    percent,
)

__all__ = ["FileInstructions", "NamedSplit", "NamedSplitAll", "PercentSlice", "ReadInstruction",
           "Split", "SplitBase", "SplitDict", "SplitGenerator", "SplitInfo", "SubSplitInfo",
           "camelcase_to_snakecase", "filename_prefix_for_split", "filenames_for_dataset_split",
           "make_file_instructions", "percent", "snakecase_to_camelcase"]
