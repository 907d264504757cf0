"""Collators: rows of a dataset to a batch."""

from enfold.train.collate.base import DataCollatorMixin
from enfold.train.collate.completion import DataCollatorForCompletionOnlyLM
from enfold.train.collate.default import DefaultDataCollator, default_data_collator
from enfold.train.collate.flattening import DataCollatorWithFlattening
from enfold.train.collate.masking import DataCollatorForLanguageModeling
from enfold.train.collate.packing import DataCollatorForPacking, pack
from enfold.train.collate.padding import (
    DataCollatorForMultipleChoice,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
)
from enfold.train.collate.wordpiece import DataCollatorForWholeWordMask

__all__ = [
    "DataCollatorForCompletionOnlyLM",
    "DataCollatorForLanguageModeling",
    "DataCollatorForMultipleChoice",
    "DataCollatorForPacking",
    "DataCollatorForSeq2Seq",
    "DataCollatorForTokenClassification",
    "DataCollatorForWholeWordMask",
    "DataCollatorMixin",
    "DataCollatorWithFlattening",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "default_data_collator",
    "pack",
]
