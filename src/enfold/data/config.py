"""Settings of `enfold.data` under the names of `datasets.config`.

What the environment or huggingface_hub decides is looked up when it is used; assigning to a name
here overrides it: `enfold.data.config.HF_DATASETS_CACHE = "/big/disk"`.

    HF_DATASETS_CACHE            prepared datasets ($HF_DATASETS_CACHE, else $HF_HOME/datasets)
    DOWNLOADED_DATASETS_PATH     downloads ($HF_DATASETS_DOWNLOADED_DATASETS_PATH, else in there)
    EXTRACTED_DATASETS_PATH      what is unpacked of them
    IN_MEMORY_MAX_SIZE           bytes up to which a dataset is read into memory (default 0: never)
    HF_ENDPOINT, HF_HUB_OFFLINE  the Hub's address; whether no request may be made
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enfold.files import env

DATASET_INFO_FILENAME = "dataset_info.json"
DATASETDICT_INFOS_FILENAME = "dataset_infos.json"
DATASET_STATE_JSON_FILENAME = "state.json"
DATASETDICT_JSON_FILENAME = "dataset_dict.json"
DATASET_ARROW_FILENAME = "dataset.arrow"
DATASET_INDICES_FILENAME = "indices.arrow"
LICENSE_FILENAME = "LICENSE"
REPOCARD_FILENAME = "README.md"
METADATA_CONFIGS_FIELD = "configs"
DOWNLOADED_DATASETS_DIR = "downloads"
EXTRACTED_DATASETS_DIR = "extracted"
MAX_SHARD_SIZE: int | str = "500MB"  # of the files of a prepared dataset
MAX_ROW_GROUP_SIZE: int | str = "100MB"  # of a row group of a Parquet file that is written
PARQUET_ROW_GROUP_SIZE_FOR_AUDIO_DATASETS: int | None = None  # rows; None: by MAX_ROW_GROUP_SIZE
PARQUET_ROW_GROUP_SIZE_FOR_IMAGE_DATASETS: int | None = None
PARQUET_ROW_GROUP_SIZE_FOR_BINARY_DATASETS: int | None = None
PARQUET_ROW_GROUP_SIZE_FOR_VIDEO_DATASETS: int | None = None
DEFAULT_CDC_OPTIONS = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024,
                       "norm_level": 0}  # of content-defined chunks in Parquet files
UPLOADS_MAX_NUMBER_PER_COMMIT = 50
MAX_DATASET_CONFIG_ID_READABLE_LENGTH = 255
DEFAULT_MAX_BATCH_SIZE = 1000
SAVE_ORIGINAL_SHARD_LENGTHS = False  # note the rows of each source file in dataset_info.json
HF_DATASETS_MULTITHREADING_MAX_WORKERS = 16
STREAMING_OPEN_MAX_RETRIES = 20
STREAMING_OPEN_RETRY_INTERVAL = 5  # seconds


def _cache() -> Path:
    return Path(os.environ.get("HF_DATASETS_CACHE") or env.hf_home() / "datasets").expanduser()


def _downloads() -> Path:
    said = os.environ.get("HF_DATASETS_DOWNLOADED_DATASETS_PATH")
    return Path(said or Path(setting("HF_DATASETS_CACHE")) / DOWNLOADED_DATASETS_DIR).expanduser()


def _extracted() -> Path:
    said = os.environ.get("HF_DATASETS_EXTRACTED_DATASETS_PATH")
    below = Path(setting("DOWNLOADED_DATASETS_PATH")) / EXTRACTED_DATASETS_DIR
    return Path(said or below).expanduser()


_LOOKED_UP: dict[str, Callable[[], Any]] = {
    "HF_DATASETS_CACHE": _cache,
    "DOWNLOADED_DATASETS_PATH": _downloads,
    "EXTRACTED_DATASETS_PATH": _extracted,
    "IN_MEMORY_MAX_SIZE": lambda: float(os.environ.get("HF_DATASETS_IN_MEMORY_MAX_SIZE") or 0),
    "HF_ENDPOINT": env.endpoint,
    "HF_HUB_OFFLINE": lambda: env.offline() is not None,
}


def setting(name: str) -> Any:
    """The value of a setting now."""
    return globals()[name] if name in globals() else __getattr__(name)


def __getattr__(name: str) -> Any:
    if name in _LOOKED_UP:
        return _LOOKED_UP[name]()
    raise AttributeError(f"module {__name__!r} has no setting {name!r}")
