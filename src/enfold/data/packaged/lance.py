"""Lance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from enfold.data.packaged.base import SourceBuilder, SourceConfig


@dataclass
class LanceConfig(SourceConfig):
    """columns: read only these.  batch_size: rows of a batch.  token: of the Hub."""

    columns: list[str] | None = None
    batch_size: int | None = 256
    token: str | None = None


class Lance(SourceBuilder):
    """`load_dataset("lance", data_files=...)`, or the folder of a Lance dataset."""

    BUILDER_CONFIG_CLASS = LanceConfig
    FORMAT: ClassVar[str] = "lance"
    ARCHIVES: ClassVar[bool] = False
    TELLS_FEATURES: ClassVar[bool] = True

    def _downloaded(self, dl_manager: Any) -> dict[str, list[str]]:
        """Each dataset once, though many of its files are given."""
        found = super()._downloaded(dl_manager)
        return {split: list(dict.fromkeys(one.path for one in self._files(files)))
                for split, files in found.items()}
