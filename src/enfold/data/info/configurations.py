"""What a dataset's card says of its configurations: their infos, and their files.

    dataset_info: {features: [...], splits: [...]}           a dict for one configuration
    dataset_info: [{config_name: small, ...}, ...]           a list for several
    configs: [{config_name: small, data_files: small/*}]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

from enfold.data.card import read_card, write_card
from enfold.data.dicts import asdict
from enfold.data.features import Features
from enfold.data.info.dataset import DatasetInfo, json_dict
from enfold.data.sources import readme

OLD_NAME = "dataset_infos.json"  # of all configurations, before there were cards


class DatasetInfosDict(dict[str, DatasetInfo]):
    """The infos of a dataset's configurations by name, as its card (README.md) holds them."""

    def write_to_directory(self, dataset_infos_dir: Any, overwrite: bool = False,
                           pretty_print: bool = False) -> None:
        """Write them to the card of a folder, and to dataset_infos.json where there is one.

        overwrite: drop those of other configurations there.  pretty_print: indent the JSON.
        """
        folder = str(dataset_infos_dir)
        known = {} if overwrite else type(self).from_directory(folder)
        every = DatasetInfosDict({**known, **self})
        old = Path(folder, OLD_NAME)
        if old.exists():
            told = {name: asdict(info) for name, info in every.items()}
            old.write_text(json.dumps(told, indent=4 if pretty_print else None), "utf-8")
        if every:
            card = read_card(folder) or {}
            every.to_dataset_card_data(card)
            write_card(folder, card)

    @classmethod
    def from_directory(cls, dataset_infos_dir: Any) -> DatasetInfosDict:
        """Those of a folder's card, else of its dataset_infos.json, else none."""
        folder = str(dataset_infos_dir)
        card = read_card(folder) or {}
        if "dataset_info" in card:
            return cls.from_dataset_card_data(card)
        old = Path(folder, OLD_NAME)
        if not old.exists():
            return cls()
        told = json_dict(old.read_bytes(), str(old))
        return cls({name: DatasetInfo.from_dict(info) for name, info in told.items()})

    @classmethod
    def from_dataset_card_data(cls, dataset_card_data: Any) -> DatasetInfosDict:
        """Those of a card's metadata: a dict, or huggingface_hub's DatasetCardData."""
        told, many = _entries(dataset_card_data)
        found = cls()
        for one in many:
            name = one.get("config_name", "default")
            found[name] = DatasetInfo._from_yaml_dict(one)
            if isinstance(told, dict):
                found[name].config_name = name
        return found

    def to_dataset_card_data(self, dataset_card_data: Any) -> None:
        """Put them into a card's metadata, beside those of other configurations there."""
        if not self:
            return
        _, many = _entries(dataset_card_data)
        entries = {one.get("config_name", "default"): one for one in many}
        entries |= {name: info._to_yaml_dict() for name, info in self.items()}
        named = [{"config_name": name, **{key: value for key, value in entry.items()
                                          if key != "config_name"}}
                 for name, entry in sorted(entries.items())]
        if len(named) == 1:
            if named[0]["config_name"] == "default":
                del named[0]["config_name"]
            dataset_card_data["dataset_info"] = named[0]
        else:
            dataset_card_data["dataset_info"] = named


class MetadataConfigs(dict[str, dict[str, Any]]):
    """The parameters of a dataset's configurations by name: data_files, data_dir, default, ..."""

    FIELD_NAME: ClassVar[str] = "configs"

    @classmethod
    def from_dataset_card_data(cls, dataset_card_data: Any) -> MetadataConfigs:
        """Those of a card's metadata: a dict, or huggingface_hub's DatasetCardData.

        Raises DataFileError for what is not in that form.
        """
        found = readme.configs({cls.FIELD_NAME: dataset_card_data.get(cls.FIELD_NAME)})
        return cls({name: {key: Features.from_yaml_list(value) if key == "features" else value
                           for key, value in entry.items()} for name, entry in found.items()})

    def to_dataset_card_data(self, dataset_card_data: Any) -> None:
        """Put them into a card's metadata, beside the other configurations there."""
        if not self:
            return
        every = {**self.from_dataset_card_data(dataset_card_data), **self}
        entries = [{"config_name": name, **{key: _yaml_ready(value) for key, value in entry.items()
                                            if key != "config_name"}}
                   for name, entry in sorted(every.items())]
        readme.configs({self.FIELD_NAME: entries})  # raises for files in no known form
        dataset_card_data[self.FIELD_NAME] = entries

    def get_default_config_name(self) -> str | None:
        """The configuration meant where none is named; None if that can't be told.

        Raises DataError for several.
        """
        return readme.default_config(dict(self))

    @classmethod
    def _from_exported_parquet_files_and_dataset_infos(
            cls, parquet_commit_hash: str, exported_parquet_files: list[dict[str, Any]],
            dataset_infos: Mapping[str, DatasetInfo]) -> MetadataConfigs:
        """Of the Parquet files that the Hub made of a repository, in the order of the infos."""
        found = {}
        for name, files in groupby(exported_parquet_files, itemgetter("config")):
            paths: dict[str, list[str]] = {}
            for file in files:
                url = file["url"].replace("refs%2Fconvert%2Fparquet", parquet_commit_hash)
                paths.setdefault(file["split"], []).append(url)
            info = dataset_infos.get(name) or DatasetInfo()
            order = [split for split in info.splits or paths if split in paths]
            found[name] = {"data_files": [{"split": split, "path": paths[split]}
                                          for split in order],
                           "version": str(info.version or "0.0.0")}
        return cls({name: found[name] for name in dataset_infos or found if name in found})


def _entries(card: Any) -> tuple[Any, list[dict[str, Any]]]:
    """What a card says in `dataset_info`, and that as a list."""
    told = card.get("dataset_info")
    return told, told if isinstance(told, list) else [told] if isinstance(told, dict) else []


def _yaml_ready(value: Any) -> Any:
    return value.to_yaml_list() if isinstance(value, Features) else value
