"""`datasets.io.spark`."""

from __future__ import annotations

from typing import Any

from enfold.data.io.readers import read_spark


class SparkDatasetReader:
    """Reads a Spark DataFrame."""

    def __init__(self, df: Any, split: Any = None, features: Any = None, streaming: bool = True,
                 cache_dir: Any = None, keep_in_memory: bool = False, working_dir: Any = None,
                 load_from_cache_file: bool = True, file_format: str = "arrow",
                 **kwargs: Any) -> None:
        self.arguments = (df, split, features, keep_in_memory, cache_dir, working_dir,
                          load_from_cache_file, kwargs, streaming, file_format)

    def read(self) -> Any:
        """The dataset."""
        return read_spark(*self.arguments)
