"""`DatasetInfo`: what is known of a dataset, in dataset_info.json and in its card's YAML."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from logging import getLogger
from typing import Any, ClassVar

from enfold.data.dicts import asdict
from enfold.data.features import Features
from enfold.data.splits import SplitDict
from enfold.data.version import Version
from enfold.errors import DataError, DataFileError, FileMissing
from enfold.lazy import require

_log = getLogger(__name__)
FILE_NAME = "dataset_info.json"
LICENSE_NAME = "LICENSE"


@dataclass
class SupervisedKeysData:
    """The columns of a task: what goes in and what comes out."""

    input: str = ""
    output: str = ""


@dataclass
class PostProcessedInfo:
    """Of old datasets: what was made of them afterwards, such as an index."""

    features: Features | None = None
    resources_checksums: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.features = _made(self.features, Features, Features.from_dict)

    @classmethod
    def from_dict(cls, dic: Mapping[str, Any]) -> PostProcessedInfo:
        """From its fields in a dict; other keys are left out."""
        return cls(**_known(cls, dic))


@dataclass(repr=False)
class DatasetInfo:
    """What is known of a dataset; what is not known is None.

    description, citation, homepage, license: text.  features: the columns.  builder_name,
    dataset_name, config_name, version: where it comes from.  splits: their sizes.  download_size,
    dataset_size, size_in_bytes: bytes of the sources, of the Arrow files, of both.
    download_checksums: {URL: {"num_bytes", "checksum"}}.
    """

    description: str = field(default_factory=str)
    citation: str = field(default_factory=str)
    homepage: str = field(default_factory=str)
    license: str = field(default_factory=str)
    features: Features | None = None
    post_processed: PostProcessedInfo | None = None
    supervised_keys: SupervisedKeysData | None = None
    builder_name: str | None = None
    dataset_name: str | None = None
    config_name: str | None = None
    version: str | Version | None = None
    splits: SplitDict | None = None
    download_checksums: dict[str, Any] | None = None
    download_size: int | None = None
    post_processing_size: int | None = None
    dataset_size: int | None = None
    size_in_bytes: int | None = None

    _INCLUDED_INFO_IN_YAML: ClassVar[list[str]] = [
        "config_name", "download_size", "dataset_size", "features", "splits"]

    def __post_init__(self) -> None:
        self.features = _made(self.features, Features, Features.from_dict)
        self.post_processed = _made(self.post_processed, PostProcessedInfo,
                                    PostProcessedInfo.from_dict)
        self.version = _made(self.version, Version, _version)
        self.splits = _made(self.splits, SplitDict, SplitDict.from_split_dict)
        self.supervised_keys = _made(self.supervised_keys, SupervisedKeysData, _supervised)

    def write_to_directory(self, dataset_info_dir: Any, pretty_print: bool = False,
                           storage_options: dict[str, Any] | None = None) -> None:
        """Write dataset_info.json, and LICENSE if there is one, to a folder or URL.

        pretty_print: indent the JSON.  storage_options: of the URL's fsspec filesystem.
        """
        folder = str(dataset_info_dir)
        system, *_ = require("fsspec.core").url_to_fs(folder, **(storage_options or {}))
        written = json.dumps(asdict(self), indent=4 if pretty_print else None)
        with system.open(posixpath.join(folder, FILE_NAME), "wb") as file:
            file.write(written.encode())
        if self.license:
            with system.open(posixpath.join(folder, LICENSE_NAME), "wb") as file:
                file.write(self.license.encode())

    @classmethod
    def from_directory(cls, dataset_info_dir: Any,
                       storage_options: dict[str, Any] | None = None) -> DatasetInfo:
        """What the dataset_info.json of a folder or URL says.  Raises DataError, FileMissing."""
        folder = str(dataset_info_dir or "")
        if not folder:
            raise DataError("Calling DatasetInfo.from_directory() with undefined dataset_info_dir. "
                            "Expected a folder or a URL")
        system, *_ = require("fsspec.core").url_to_fs(folder, **(storage_options or {}))
        path = posixpath.join(folder, FILE_NAME)
        try:
            text = system.cat_file(path)
        except FileNotFoundError as error:
            raise FileMissing(f"no {FILE_NAME} in {folder}. Expected the folder of a prepared "
                              f"dataset") from error
        return cls.from_dict(json_dict(text, path))

    @classmethod
    def from_dict(cls, dataset_info_dict: Mapping[str, Any]) -> DatasetInfo:
        """From its fields in a dict; other keys are left out."""
        return cls(**_known(cls, dataset_info_dict))

    @classmethod
    def from_merge(cls, dataset_infos: Iterable[DatasetInfo | None]) -> DatasetInfo:
        """The info of datasets put together: the one they share, or their texts joined."""
        infos = [info.copy() for info in dataset_infos if info is not None]
        if infos and all(info == infos[0] for info in infos):
            return infos[0]
        merged = cls()
        for name in ("description", "citation", "homepage", "license"):
            texts = dict.fromkeys(getattr(info, name) for info in infos)
            setattr(merged, name, "\n\n".join(texts).strip())
        return merged

    def update(self, other_dataset_info: DatasetInfo, ignore_none: bool = True) -> None:
        """Take over the other's fields, but not its None unless `ignore_none` is false."""
        self.__dict__.update({name: deepcopy(value)
                              for name, value in other_dataset_info.__dict__.items()
                              if value is not None or not ignore_none})

    def copy(self) -> DatasetInfo:
        """A deep copy."""
        return type(self)(**{name: deepcopy(value) for name, value in self.__dict__.items()})

    def _to_yaml_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in asdict(self)
                 if name in self._INCLUDED_INFO_IN_YAML}
        return {name: value._to_yaml_list() if hasattr(value, "_to_yaml_list") else value
                for name, value in plain.items()}

    @classmethod
    def _from_yaml_dict(cls, yaml_data: Mapping[str, Any]) -> DatasetInfo:
        told = deepcopy(dict(yaml_data))
        if told.get("features") is not None:
            told["features"] = Features.from_yaml_list(told["features"])
        if told.get("splits") is not None:
            try:
                told["splits"] = SplitDict._from_yaml_list(told["splits"])
            except DataError as error:  # sizes only: the data can be read without them
                _log.warning("Ignoring part of dataset_info from the dataset card: %s", error)
                del told["splits"]
        return cls.from_dict(told)

    def __repr__(self) -> str:
        shown = (f"{one.name}={value!r}" for one in fields(self)
                 if (value := getattr(self, one.name)))
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _known(cls: Any, dic: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(cls)}
    return {name: value for name, value in dic.items() if name in names}


def _made(value: Any, kind: type, make: Any) -> Any:
    """The value as a `kind`, made of its JSON form where it is not one yet."""
    return value if value is None or isinstance(value, kind) else make(value)


def _version(value: Any) -> Version:
    return Version(value) if isinstance(value, str) else Version.from_dict(value)


def _supervised(value: Any) -> SupervisedKeysData:
    if isinstance(value, (tuple, list)):
        return SupervisedKeysData(*value)
    return SupervisedKeysData(**value)


def json_dict(text: bytes, path: str) -> dict[str, Any]:
    """The JSON object in a file's bytes.  Raises DataFileError for anything else."""
    try:
        told = json.loads(text)
    except ValueError as error:
        raise DataFileError(f"{path}: is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise DataFileError(f"{path}: holds a {type(told).__name__}. Expected a JSON object")
    return told
