"""`datasets.config`: the settings of `enfold.data.config`, and names that nothing here goes by."""

from __future__ import annotations

from typing import Any

from enfold.data import config

# rows of Arrow record batches: here they are of 16 MB, whatever is in them
ARROW_RECORD_BATCH_SIZE_FOR_AUDIO_DATASETS = 100
ARROW_RECORD_BATCH_SIZE_FOR_IMAGE_DATASETS = 100
ARROW_RECORD_BATCH_SIZE_FOR_BINARY_DATASETS = 100
ARROW_RECORD_BATCH_SIZE_FOR_VIDEO_DATASETS = 10


def __getattr__(name: str) -> Any:
    return getattr(config, name)
