"""Folders `checkpoint-<step>` of a run.

A checkpoint is written into a hidden folder beside its place and renamed into it when all of it is
on disk, so whatever is called `checkpoint-<step>` is whole:

    1. staging     .enfold-saving-<pid>-...: all ranks write here, and flush to disk
    2. aside       an older checkpoint of the same step becomes .replaced-checkpoint-<step>
    3. published   the staging folder is renamed to checkpoint-<step>
    4. sweep       what was set aside goes

A process killed between 2 and 3 leaves the older one aside; whoever looks for checkpoints next puts
it back.  A checkpoint that is deleted gets a hidden name first, so it is never half there.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import getLogger
from pathlib import Path

from enfold.errors import CheckpointError
from enfold.files.atomic import STAGING, sweep_staging, sync_file, sync_folder
from enfold.train.checkpoint.background import Writer
from enfold.train.checkpoint.space import writing_to
from enfold.train.parallel.together import agreed, barrier, first_of_machine

_log = getLogger(__name__)
_NAME = re.compile(r"checkpoint-(\d+)")
ASIDE = ".replaced-"
STATE = "trainer_state.json"  # written last by every Trainer


@contextmanager
def writing(folder: str | os.PathLike[str], rank: int = 0, world_size: int = 1,
            writer: Writer | None = None) -> Iterator[Path]:
    """A staging folder for all ranks that becomes `folder` when the block ends well on each.

    After an error, or a kill, `folder` is what it was.  writer: its work of rank 0 is done before
    the folder gets its name, which may be after the block.
    """
    folder, writer = Path(folder), writer or Writer()
    staging = agreed(_staging(folder) if rank == 0 else None, world_size)
    staging.mkdir(parents=True, exist_ok=True)  # on machines that share no disk
    writer.begin(folder, lambda: shutil.rmtree(staging, ignore_errors=True))
    try:
        with writing_to(folder):
            yield staging
            if rank:
                _flush(staging)
    except BaseException:
        writer.forget()
        if world_size == 1:  # others may be writing still; theirs goes with the next save
            shutil.rmtree(staging, ignore_errors=True)
        raise
    barrier(world_size)
    if rank == 0:
        writer.do(lambda: publish(staging, folder))
    if writer.background:
        return
    barrier(world_size)
    if first_of_machine() and staging.is_dir():  # a machine that has a disk of its own
        publish(staging, folder)


def publish(staging: Path, folder: Path) -> None:
    """Flush a complete staging folder to disk and give it its name, in place of an older one."""
    try:
        with writing_to(folder):
            _flush(staging)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    aside = folder.with_name(ASIDE + folder.name)
    if folder.exists():
        if aside.exists():
            remove(aside)
        os.replace(folder, aside)
    os.replace(staging, folder)
    sync_folder(folder.parent)
    if aside.exists():
        remove(aside)


def remove(folder: str | os.PathLike[str]) -> None:
    """Delete a checkpoint: at once under its name, then its files."""
    folder = Path(folder)
    gone = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{STAGING}{os.getpid()}-"))
    try:
        os.replace(folder, gone)
    except FileNotFoundError:
        gone.rmdir()
        return
    shutil.rmtree(gone, ignore_errors=True)


def checkpoints(run: str | os.PathLike[str]) -> list[Path]:
    """The whole checkpoints of a run, from the first step to the last."""
    _mend(Path(run))
    found = [(int(match[1]), path) for path in Path(run).glob("checkpoint-*")
             if (match := _NAME.fullmatch(path.name)) and path.is_dir()]
    return [path for _, path in sorted(found) if is_whole(path)]


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end, by us or by another Trainer."""
    with suppress(OSError), open(checkpoint / STATE, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - 16, 0))
        return file.read().rstrip().endswith(b"}")
    return False


def get_last_checkpoint(folder: str | os.PathLike[str]) -> str | None:
    """The last checkpoint of a run that is whole, or None."""
    found = checkpoints(folder)
    named = [path for path in Path(folder).glob("checkpoint-*") if _NAME.fullmatch(path.name)]
    halves = sorted(path.name for path in named if path not in found)
    if halves:
        _log.warning("%s: %s have no complete %s, because writing them was interrupted; they are "
                     "passed over", folder, ", ".join(halves), STATE)
    return str(found[-1]) if found else None


def rotate_checkpoints(output_dir: str, save_total_limit: int | None,
                       best_model_checkpoint: str | None = None, only_best: bool = False) -> None:
    """Delete the oldest checkpoints, so that `save_total_limit` stay; the best and last always.

    The one written last is the last, whatever the steps of others that an earlier run has left.
    """
    if not save_total_limit or save_total_limit < 1:
        return
    found = checkpoints(output_dir)
    latest = max(found, key=lambda path: (path / STATE).stat().st_mtime_ns, default=None)
    best = None if best_model_checkpoint is None else Path(best_model_checkpoint).absolute()
    kept = {path for path in found
            if path.absolute() == best or (path == latest and not only_best)}
    for path in reversed(found):
        if len(kept) < save_total_limit:
            kept.add(path)
    for path in found:
        if path not in kept:
            remove(path)


def forget_staging(run: str | os.PathLike[str]) -> None:
    """Remove what this process began to write in `run`, or to delete, where an error came between.

    The error of a killed worker comes by a signal, so at any line, those of cleaning up too.
    """
    for leftover in Path(run).glob(f"{STAGING}{os.getpid()}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _staging(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"can't save to {folder}: it is a file. Expected a folder, or a name "
                              "that is free")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_staging(folder.parent)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{STAGING}{os.getpid()}-"))
    staging.chmod(0o777 & ~_umask())
    return staging


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(staging: Path) -> None:
    for path in staging.rglob("*"):
        with suppress(FileNotFoundError):  # another rank's, renamed meanwhile
            if path.is_file():
                sync_file(path)
            elif path.is_dir():
                sync_folder(path)
    sync_folder(staging)


def _mend(run: Path) -> None:
    """Put back what a killed save had set aside."""
    for aside in run.glob(f"{ASIDE}checkpoint-*"):
        folder = run / aside.name.removeprefix(ASIDE)
        if not folder.exists():
            with suppress(FileNotFoundError):  # another rank has
                os.replace(aside, folder)
