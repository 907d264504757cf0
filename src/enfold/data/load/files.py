"""Datasets as files in one place: a folder, a repository or a bucket, with what its card says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enfold.data import config
from enfold.data.datafiles import DataFilesDict, get_data_patterns, sanitize_patterns
from enfold.data.info import DatasetInfo, DatasetInfosDict, MetadataConfigs
from enfold.data.load.modules import (
    BuilderConfigsParameters,
    DatasetModule,
    create_builder_configs_from_metadata_configs,
)
from enfold.data.packaged import (
    MODULES,
    builder_class,
    infer_module_for_data_files,
    known_extensions,
    module_extensions,
)
from enfold.data.sources import readme
from enfold.data.splits import camelcase_to_snakecase
from enfold.errors import DataError
from enfold.lazy import require

YAML_NAME = ".huggingface.yaml"  # beside README.md, or in its stead
CARD_FILES = (config.REPOCARD_FILENAME, YAML_NAME, config.DATASETDICT_INFOS_FILENAME)


@dataclass(frozen=True, slots=True)
class Place:
    """path: as the user knows it.  root: folder or URL of all files.  data_dir: in there.

    data_files: the user's.  texts: of the CARD_FILES that are there.
    """

    path: str
    root: str
    data_dir: str | None = None
    data_files: Any = None
    texts: Mapping[str, str] = field(default_factory=dict)
    download_config: Any = None

    @property
    def base_path(self) -> str:
        """The folder whose files are looked at."""
        return f"{self.root.rstrip('/')}/{self.data_dir}".rstrip("/") if self.data_dir else (
            self.root)

    def card(self) -> dict[str, Any]:
        """The metadata of README.md and of .huggingface.yaml."""
        found = readme.metadata(self.texts.get(config.REPOCARD_FILENAME, ""))
        if text := self.texts.get(YAML_NAME):
            found |= readme.metadata(f"---\n{text}\n---", YAML_NAME)
        return found

    def infos(self, card: dict[str, Any]) -> DatasetInfosDict:
        """Those of the card, and of dataset_infos.json, which older versions wrote."""
        found = DatasetInfosDict.from_dataset_card_data(card)
        text = self.texts.get(config.DATASETDICT_INFOS_FILENAME)
        if text is None:
            return found
        try:
            told = {name: DatasetInfo.from_dict(info) for name, info in json.loads(text).items()}
        except (ValueError, AttributeError) as error:
            raise DataError(f"{self.path}: {config.DATASETDICT_INFOS_FILENAME} is damaged: "
                            f"{error}. Do: remove it") from error
        if len(told) == 1:  # was called username--dataset_name
            told = {"default": next(iter(told.values()))}
        return DatasetInfosDict({**told, **found})

    def patterns(self, configs: MetadataConfigs) -> dict[str, list[str]]:
        """{split: patterns} of the files that tell the format."""
        if self.data_files is not None:
            return sanitize_patterns(self.data_files)
        first = next(iter(configs.values()), {})
        if not self.data_dir and "data_files" in first:
            return sanitize_patterns(first["data_files"])
        return get_data_patterns(self.base_path, self.download_config)


def module_of(place: Place, **builder_kwargs: Any) -> DatasetModule:
    """The builder for the files of a place.  Raises EmptyDatasetError, DataError."""
    card = place.card()
    configs, infos = MetadataConfigs.from_dataset_card_data(card), place.infos(card)
    files = DataFilesDict.from_patterns(
        place.patterns(configs), base_path=place.base_path,
        allowed_extensions=known_extensions(), download_config=place.download_config)
    name, options = infer_module_for_data_files(files, place.path, place.download_config)
    extensions, names = module_extensions(name)
    files = files.filter(extensions=extensions, file_names=names)
    default: str | None
    if configs:
        made, default = create_builder_configs_from_metadata_configs(
            MODULES[name], configs, place.base_path, options, place.download_config)
    else:
        made, default = [builder_class(name).BUILDER_CONFIG_CLASS(
            data_files=files, **options)], None
    if place.data_dir:
        builder_kwargs["data_files"] = files
    if default is None and len(infos) == 1:
        default = next(iter(infos))
    name_of = camelcase_to_snakecase(Path(place.path).name)
    return DatasetModule(
        MODULES[name], "", {"base_path": place.root, "dataset_name": name_of, **builder_kwargs},
        BuilderConfigsParameters(configs or None, made, default), infos)


def local_texts(folder: str) -> dict[str, str]:
    """The texts of the CARD_FILES in a folder."""
    return {name: Path(folder, name).read_text("utf-8") for name in CARD_FILES
            if os.path.isfile(os.path.join(folder, name))}


def remote_texts(root: str, storage: Mapping[str, Any]) -> dict[str, str]:
    """The same at a URL."""
    system, path = require("fsspec").core.url_to_fs(root, **storage)
    found = {}
    for name in CARD_FILES:
        try:
            found[name] = system.cat_file(f"{path.rstrip('/')}/{name}").decode("utf-8")
        except FileNotFoundError:
            continue
    return found
