"""Making a dataset's files: once, whole, by one process at a time.

Everything is written to `<folder>.<id>.incomplete`, under a lock that other processes wait for, and
moved when it is complete, dataset_info.json last: a folder that has it is whole, and one whose
files were lost or cut off since is made again.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from glob import escape, glob
from logging import getLogger
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from enfold.data import config
from enfold.data.builder.verify import (
    VerificationMode,
    damage,
    verify_checksums,
    verify_splits,
)
from enfold.data.cache.lock import FileLock
from enfold.data.download import DownloadConfig, DownloadManager, DownloadMode
from enfold.data.download.cached import one_of
from enfold.data.info import DatasetInfo
from enfold.data.sizes import size_str
from enfold.data.splits import SplitDict, filenames_for_dataset_split
from enfold.errors import DataError, EnfoldError
from enfold.lazy import require

if TYPE_CHECKING:
    from enfold.data.builder.base import DatasetBuilder

_log = getLogger(__name__)
INFO = config.DATASET_INFO_FILENAME


def download_and_prepare(builder: DatasetBuilder, output_dir: Any,
                         download_config: DownloadConfig | None, download_mode: Any,
                         verification_mode: Any, dl_manager: Any, base_path: str | None,
                         file_format: str, storage_options: dict[str, Any] | None,
                         **options: Any) -> None:
    """See `DatasetBuilder.download_and_prepare`."""
    mode = one_of(DownloadMode, download_mode, DownloadMode.REUSE_DATASET_IF_EXISTS,
                  "download_mode")
    checks = one_of(VerificationMode, verification_mode, VerificationMode.BASIC_CHECKS,
                    "verification_mode")
    if file_format not in ("arrow", "parquet"):
        raise DataError(f"Unsupported file_format: {file_format!r}. Expected 'arrow' or 'parquet'")
    _set_output(builder, output_dir, storage_options)
    builder._file_format = file_format
    if dl_manager is None:
        dl_manager = _manager(builder, download_config, mode, base_path, options.get("num_proc"))
    builder.dl_manager = dl_manager
    with _lock(builder) as lock:
        if mode == DownloadMode.REUSE_DATASET_IF_EXISTS and _is_prepared(builder):
            _log.info("Found cached dataset %s (%s)", builder.dataset_name, builder._output_dir)
            builder.info = builder._load_info()
            return
        _log.info("Generating dataset %s (%s)", builder.dataset_name, builder._output_dir)
        _require_space(builder)
        with _draft(builder, lock):
            given = {name: value for name, value in options.items() if value is not None}
            builder._download_and_prepare(dl_manager=dl_manager, verification_mode=checks,
                                          file_format=file_format, **given)
            _add_up(builder.info, dl_manager)
            builder._save_info()


def prepare_splits(builder: DatasetBuilder, dl_manager: Any, checks: VerificationMode,
                   options: dict[str, Any]) -> None:
    """Make all splits of a dataset into `builder._output_dir`."""
    splits = SplitDict(dataset_name=builder.dataset_name)
    generators = builder._split_generators(dl_manager,
                                           **builder._make_split_generators_kwargs(options))
    if checks == VerificationMode.ALL_CHECKS and dl_manager.record_checksums:
        verify_checksums(builder.info.download_checksums,
                         dl_manager.get_recorded_sizes_checksums(), "dataset source files")
    for generator in generators:
        if generator.name.lower() == "all":
            raise DataError("`all` is the union of all splits, and can't be the name of one in "
                            "_split_generators. Do: name it otherwise")
        splits.add(generator.split_info)
        builder._prepare_split(generator, **options)
        dl_manager.manage_extracted_files()
    if checks != VerificationMode.NO_CHECKS:
        verify_splits(builder.info.splits, splits)
    builder.info.splits = splits
    builder.info.download_size = dl_manager.downloaded_size


def _set_output(builder: DatasetBuilder, output_dir: Any,
                storage_options: dict[str, Any] | None) -> None:
    given = os.fspath(output_dir) if output_dir is not None else builder._cache_dir
    system, path = require("fsspec.core").url_to_fs(given, **(storage_options or {}))
    if not path.strip("/"):
        raise DataError(f"Unable to download and prepare the dataset at the root {given}. Do: "
                        f"give a folder below it, such as {given}{builder.dataset_name}")
    builder._fs = system
    builder._output_dir = system.unstrip_protocol(path) if builder._is_remote else path


def _manager(builder: DatasetBuilder, download_config: DownloadConfig | None, mode: DownloadMode,
             base_path: str | None, num_proc: int | None) -> DownloadManager:
    force = mode == DownloadMode.FORCE_REDOWNLOAD
    settings = download_config or DownloadConfig(
        cache_dir=builder._cache_downloaded_dir, force_download=force, force_extract=force,
        use_etag=False, num_proc=num_proc, token=builder.token,
        storage_options=dict(builder.storage_options))
    return DownloadManager(
        dataset_name=builder.dataset_name, data_dir=builder.config.data_dir,
        download_config=settings, record_checksums=builder._record_checksums,
        base_path=base_path if base_path is not None else builder.base_path)


def _lock(builder: DatasetBuilder) -> Any:
    """Of local folders; the real library waits for the same."""
    if builder._is_remote:
        return nullcontext()
    return FileLock(Path(f"{builder._output_dir}_builder.lock"), passing=True)


def _is_prepared(builder: DatasetBuilder) -> bool:
    folder = builder._output_dir
    if not builder._fs.exists(posixpath.join(folder, INFO)):
        return False
    if builder._is_remote:
        return True
    try:
        problem = damage(folder, DatasetInfo.from_directory(folder), builder.dataset_name)
    except EnfoldError as error:
        problem = str(error)
    if problem is not None:
        _log.warning("The prepared dataset %s is made again: %s", folder, problem)
    return problem is None


def _require_space(builder: DatasetBuilder) -> None:
    needed = builder.info.size_in_bytes or 0
    if not builder._is_remote and needed:
        free = shutil.disk_usage(Path(builder._output_dir).parent).free
        if free < needed:
            raise OSError(f"Not enough disk space for {builder.dataset_name} in "
                          f"{builder._output_dir}: it needs {size_str(needed)}, and "
                          f"{size_str(free)} are free")


def _add_up(info: DatasetInfo, dl_manager: Any) -> None:
    info.dataset_size = sum(split.num_bytes for split in (info.splits or {}).values())
    if dl_manager.record_checksums:
        info.download_checksums = dl_manager.get_recorded_sizes_checksums()
    if info.download_size is not None:
        info.size_in_bytes = info.dataset_size + info.download_size


@contextmanager
def _draft(builder: DatasetBuilder, lock: FileLock | None) -> Iterator[None]:
    """Have the builder write to another folder, which takes its place when all went well."""
    folder = builder._output_dir
    if builder._is_remote:
        builder._fs.makedirs(folder, exist_ok=True)
        yield
        return
    if lock is not None and lock.real:  # then drafts are those of processes that were killed
        for old in glob(f"{escape(folder)}.*.incomplete"):
            shutil.rmtree(old, ignore_errors=True)
    draft = f"{folder}.{token_hex(4)}.incomplete"
    os.makedirs(draft)
    builder._output_dir = draft
    try:
        yield
        _publish(Path(draft), Path(folder), builder.dataset_name)
    finally:
        builder._output_dir = folder
        shutil.rmtree(draft, ignore_errors=True)


def _publish(draft: Path, folder: Path, dataset_name: str) -> None:
    """Move the files in; others that the folder holds stay."""
    if not folder.exists():
        os.rename(draft, folder)
        return
    _remove_prepared(folder, dataset_name)
    for path in sorted(draft.iterdir(), key=lambda path: path.name == INFO):
        os.replace(path, folder / path.name)


def _remove_prepared(folder: Path, dataset_name: str) -> None:
    """Remove what was prepared before, its info first."""
    try:
        before = DatasetInfo.from_directory(folder).splits or SplitDict()
    except EnfoldError:
        before = SplitDict()
    (folder / INFO).unlink(missing_ok=True)
    for split in before.values():
        for kind in ("arrow", "parquet"):
            for path in filenames_for_dataset_split(str(folder), dataset_name, split.name, kind,
                                                    split.shard_lengths):
                Path(path).unlink(missing_ok=True)
