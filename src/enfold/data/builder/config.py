"""`BuilderConfig`: which variant of a dataset is built, and the name of its cache folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from enfold.data import config
from enfold.data.builder.errors import InvalidConfigName
from enfold.data.datafiles import DataFilesDict, DataFilesPatternsDict
from enfold.data.download import DownloadConfig
from enfold.data.download.paths import xjoin
from enfold.data.features import Features
from enfold.data.fingerprint import digest
from enfold.data.version import Version
from enfold.errors import DataError

_FORBIDDEN = r"<>:/\|?*"  # in names of files on Windows
_DIGITS = 16  # of a hash in the name of a folder


@dataclass(eq=False)
class BuilderConfig:
    """A configuration; subclasses add fields of their own.

    name: of the configuration and of its cache folder.  data_dir, data_files: what it is made of;
    a builder resolves the patterns given to it.  Raises InvalidConfigName, DataError.
    """

    name: str = "default"
    version: Version | str | None = Version("0.0.0")  # noqa: RUF009 - never changed
    data_dir: str | None = None
    data_files: Any = None
    description: str | None = None

    def __post_init__(self) -> None:
        if bad := sorted(set(_FORBIDDEN) & set(self.name)):
            raise InvalidConfigName(f"Bad characters {''.join(bad)!r} in the configuration's name "
                                    f"{self.name!r}: it names a folder. Expected none of "
                                    f"{_FORBIDDEN}")
        if self.data_files is not None and not isinstance(
                self.data_files, (DataFilesDict, DataFilesPatternsDict)):
            raise DataError(f"Expected a DataFilesDict in data_files but got {self.data_files!r}. "
                            f"Do: pass data_files= to the builder, which makes one")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BuilderConfig) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def create_config_id(self, config_kwargs: dict[str, Any],
                         custom_features: Features | None = None) -> str:
        """The name of the cache folder: that of the configuration, and what else it was given.

        Short plain arguments are written out, `default-lang=en`; others, files and features go
        into a hash.
        """
        given = {key: config_kwargs[key] for key in sorted(config_kwargs)
                 if key not in ("name", "version")}
        if given.get("data_dir") is not None:
            given["data_dir"] = os.path.normpath(given["data_dir"])
        else:
            given.pop("data_dir", None)
        suffix = _suffix(given) if given else ""
        if custom_features is not None:
            suffix = digest((suffix, custom_features))[:_DIGITS]
        if not suffix:
            return self.name
        readable = f"{self.name}-{suffix}"
        if len(readable) <= config.MAX_DATASET_CONFIG_ID_READABLE_LENGTH:
            return readable
        return f"{self.name}-{digest(suffix)[:_DIGITS]}"

    def _resolve_data_files(self, base_path: str | None, download_config: DownloadConfig) -> None:
        if isinstance(self.data_files, DataFilesPatternsDict):
            base = xjoin(base_path or "", self.data_dir) if self.data_dir else base_path
            self.data_files = self.data_files.resolve(base, download_config)


def _suffix(given: dict[str, Any]) -> str:
    if all(isinstance(value, (str, bool, int, float)) for value in given.values()):
        written = ",".join(f"{key}={quote_plus(str(value))}" for key, value in given.items())
        if len(written) <= 32:
            return written
    return digest(given)[:_DIGITS]
