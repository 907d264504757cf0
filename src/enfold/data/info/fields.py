"""What `DatasetInfo` knows, as attributes of what has one."""

from __future__ import annotations

from typing import Any

from enfold.data.info.dataset import DatasetInfo

_NAMES = {"builder_name", "citation", "config_name", "dataset_size", "description",
          "download_checksums", "download_size", "homepage", "license", "size_in_bytes",
          "supervised_keys", "version"}


class InfoFields:
    """The fields of `_info`, by their names."""

    _info: DatasetInfo

    def __getattr__(self, name: str) -> Any:
        if name in _NAMES:
            return getattr(self._info, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_NAMES})
