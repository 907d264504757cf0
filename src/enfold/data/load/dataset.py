"""`load_dataset`: a builder for a name, its data prepared in the cache, and read from there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import signature
from logging import getLogger
from pathlib import Path
from typing import Any

from enfold.data import config
from enfold.data.builder import VerificationMode
from enfold.data.download import DownloadConfig, DownloadMode
from enfold.data.download.cached import one_of
from enfold.data.features import Features
from enfold.data.load.factories import WITHOUT_FILES, dataset_module_factory
from enfold.data.load.modules import DatasetModule, get_dataset_builder_class
from enfold.data.packaged import EXTENSIONS, MODULES
from enfold.errors import DataError, unknown_arguments

_log = getLogger(__name__)
DataFiles = str | Sequence[str] | Mapping[str, str | Sequence[str]]


def load_dataset(path: str, name: str | None = None, data_dir: str | None = None,
                 data_files: DataFiles | None = None, split: Any = None,
                 cache_dir: str | None = None, features: Features | None = None,
                 download_config: Any = None, download_mode: Any = None,
                 verification_mode: Any = None, keep_in_memory: bool | None = None,
                 save_infos: bool = False, revision: Any = None, token: bool | str | None = None,
                 streaming: bool = False, num_proc: int | None = None,
                 storage_options: dict[str, Any] | None = None, **config_kwargs: Any) -> Any:
    """The splits of a dataset as a DatasetDict, or one of them as a Dataset.

    path: a format ("csv", "json", "parquet", "text", "imagefolder", ...), a folder, a repository
        on the Hub ("user/name"), or "hf://datasets/user/name" for one that is not to be a folder.
    name: the configuration.  data_dir: a folder in there.
    data_files: paths, globs, archives or URLs; one, a list, or {split: one or a list}.
    split: "train", "train[:1000]", "train[10%:20%]+test", a ReadInstruction, or a list of them.
    cache_dir: where prepared data is kept.  features: what to read the columns as.
    download_mode, verification_mode: see DownloadMode and VerificationMode.
    keep_in_memory: read all into memory; by default only below `IN_MEMORY_MAX_SIZE`.
    save_infos: check all there is to check.  revision: a branch, tag or commit.
    token: for the Hub.  num_proc: processes that prepare the data, a share of the files each.
    streaming: an IterableDataset (Dict) that reads while it is iterated, nothing prepared.
    storage_options: of the URLs' fsspec filesystem.
    config_kwargs: of the format, such as sep= or sample_by=, and of all that read rows:
        strict=True raises where a file's columns differ, rather than having them widened.

    Raises DatasetNotFoundError, EmptyDatasetError, DataError, DataFileError, ConnectionError.
    """
    path = os.fspath(path)
    if data_files is not None and not data_files:
        raise DataError(f"Empty 'data_files': {data_files!r}. It should be either non-empty or "
                        f"None (default)")
    if Path(path, config.DATASET_STATE_JSON_FILENAME).exists():
        raise DataError("You are trying to load a dataset that was saved using `save_to_disk`. "
                        f"Got {path}. Do: load_from_disk() instead")
    if streaming and num_proc is not None:
        raise NotImplementedError("Loading a streaming dataset in parallel with `num_proc` is not "
                                  "implemented. Do: read it through a torch DataLoader with "
                                  "num_workers, or leave out streaming=True")
    verify = VerificationMode.ALL_CHECKS if save_infos else one_of(
        VerificationMode, verification_mode, VerificationMode.BASIC_CHECKS, "verification_mode")
    builder = load_dataset_builder(
        path, name, data_dir, data_files, cache_dir, features, download_config, download_mode,
        revision, token, storage_options, **config_kwargs)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(
        download_config=download_config, download_mode=_mode(download_mode),
        verification_mode=verify, num_proc=num_proc, storage_options=storage_options)
    if keep_in_memory is None:
        keep_in_memory = _is_small(builder.info.dataset_size)
    return builder.as_dataset(split=split, in_memory=keep_in_memory)


def load_dataset_builder(path: str, name: str | None = None, data_dir: str | None = None,
                         data_files: DataFiles | None = None, cache_dir: str | None = None,
                         features: Features | None = None, download_config: Any = None,
                         download_mode: Any = None, revision: Any = None,
                         token: bool | str | None = None,
                         storage_options: dict[str, Any] | None = None,
                         **config_kwargs: Any) -> Any:
    """The DatasetBuilder of what `load_dataset` would load: its info, splits and files.

    The arguments and errors are those of `load_dataset`.
    """
    path = os.fspath(path)
    if config_kwargs.pop("trust_remote_code", None):
        _log.warning("trust_remote_code has no effect: nothing here runs a repository's script. "
                     "Where %s has one, its data is read from the Hub's conversion to Parquet",
                     path)
    module = dataset_module_factory(
        path, revision=revision, data_dir=data_dir, data_files=data_files, cache_dir=cache_dir,
        download_config=_config(download_config, token, storage_options),
        download_mode=_mode(download_mode))
    arguments = dict(module.builder_kwargs)
    told = module.builder_configs_parameters
    data_dir = arguments.pop("data_dir", data_dir)
    data_files = arguments.pop("data_files", data_files)
    chosen = arguments.pop("config_name", name or told.default_config_name)
    dataset_name = arguments.pop("dataset_name", None)
    _check_files(path, data_files)
    made = get_dataset_builder_class(module, dataset_name=dataset_name)
    _check_options(path, made, config_kwargs)
    known = {key: value for key, value in arguments.items() if key not in config_kwargs}
    return made(cache_dir=cache_dir, dataset_name=dataset_name, config_name=chosen,
                data_dir=data_dir, data_files=data_files, hash=module.hash,
                info=_info(module, chosen, bool(data_dir or data_files)),
                features=Features(features) if features is not None else None, token=token,
                storage_options=storage_options, **known, **config_kwargs)


def _info(module: DatasetModule, name: str | None, files_given: bool) -> Any:
    """What the card says of the configuration, which holds for its own files only."""
    if not module.dataset_infos or files_given or name is None:
        return None
    return module.dataset_infos.get(name)


def _mode(download_mode: Any) -> DownloadMode:
    found: DownloadMode = one_of(DownloadMode, download_mode,
                                 DownloadMode.REUSE_DATASET_IF_EXISTS, "download_mode")
    return found


def _config(given: Any, token: bool | str | None, storage: dict[str, Any] | None) -> Any:
    """A DownloadConfig with the token and options of the call."""
    made = given.copy() if given is not None else DownloadConfig()
    if token is not None:
        made.token = token
    if storage is not None:
        made.storage_options.update(storage)
    return made


def _is_small(size: int | None) -> bool:
    limit = config.setting("IN_MEMORY_MAX_SIZE")
    return bool(size and limit and size < limit)


def _check_files(path: str, data_files: Any) -> None:
    if path not in MODULES or data_files is not None or path in WITHOUT_FILES:
        return
    extensions = [extension for extension, found in EXTENSIONS.items() if found[0] == path]
    example = f'. For example data_files={{"train": "data/train/*{extensions[0]}"}}' if (
        extensions) else ""
    raise DataError(f"Please specify the data files or data directory to load for the {path} "
                    f"dataset builder{example}")


def _check_options(path: str, builder: Any, given: Mapping[str, Any]) -> None:
    """Raises ArgumentError for options that neither the builder nor its configuration has."""
    found = getattr(builder, "BUILDER_CONFIG_CLASS", None)
    if not given or not is_dataclass(found):
        return
    known = {field.name for field in fields(found)}
    takes = [name for name in signature(builder.__init__).parameters
             if name not in ("self", "args", "kwargs", "config_kwargs")]
    unknown = [name for name in given if name not in known and name not in takes]
    if unknown:
        own = {name for name in signature(load_dataset).parameters if name != "config_kwargs"}
        raise unknown_arguments(f"load_dataset({path!r})", unknown, known | own)
