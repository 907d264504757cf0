"""Datasets saved to folders and pushed to the Hub."""

from __future__ import annotations

import os
from typing import Any, Self

from enfold.data.dataset.base import Base
from enfold.data.push.mixins import PushedDataset


class Storing(Base, PushedDataset):
    """What keeps a dataset for later."""

    def save_to_disk(self, dataset_path: str | os.PathLike[str],
                     max_shard_size: int | str | None = None, num_shards: int | None = None,
                     num_proc: int | None = None,
                     storage_options: dict[str, Any] | None = None) -> None:
        """Save to a folder or URL, from which `load_from_disk` reads it, here and in `datasets`.

        max_shard_size: of its Arrow files (default "500MB"), or num_shards of them.  num_proc:
        processes that write them.  storage_options: of the URL's fsspec filesystem.

        Files that columns name (images, audio, ...) are put into the data; those behind URLs are
        not.  What was saved there before is replaced when all is written: until then, and after an
        error or a kill, it is what is read.
        """
        from enfold.data.saving import save_dataset

        save_dataset(self, dataset_path, max_shard_size, num_shards, num_proc, storage_options)

    @classmethod
    def load_from_disk(cls, dataset_path: str | os.PathLike[str],
                       keep_in_memory: bool | None = None,
                       storage_options: dict[str, Any] | None = None) -> Self:
        """The dataset that `save_to_disk` wrote to a folder or URL, its files mapped.

        keep_in_memory: read them into memory instead.  Raises FileNotFoundError if nothing is saved
        there, and DataFileError naming a file that is damaged.
        """
        from enfold.data.saving import load_saved

        return load_saved(cls, dataset_path, keep_in_memory, storage_options)  # type: ignore[no-any-return]
