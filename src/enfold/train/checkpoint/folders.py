"""Folders `checkpoint-<step>` of a run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enfold.files import atomic_folder_write

_NAME = re.compile(r"checkpoint-(\d+)")


@contextmanager
def writing(folder: Path, rank: int = 0, world_size: int = 1) -> Iterator[Path]:
    """A staging folder that becomes `folder` when the block ends well."""
    with atomic_folder_write(folder) as staging:
        yield staging


def checkpoints(run: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints of a run, from the first step to the last."""
    found = [(int(match[1]), path) for path in Path(run).glob("checkpoint-*")
             if (match := _NAME.fullmatch(path.name)) and path.is_dir()]
    return [path for _, path in sorted(found)]


def get_last_checkpoint(folder: str | os.PathLike[str]) -> str | None:
    """The checkpoint of the last step, or None."""
    found = checkpoints(folder)
    return str(found[-1]) if found else None


def rotate_checkpoints(output_dir: str, save_total_limit: int | None,
                       best_model_checkpoint: str | None = None, only_best: bool = False) -> None:
    """Delete the oldest checkpoints, so that `save_total_limit` stay; the best and last always."""
    if not save_total_limit or save_total_limit < 1:
        return
    found = checkpoints(output_dir)
    best = None if best_model_checkpoint is None else Path(best_model_checkpoint).absolute()
    kept = [path for path in found if path.absolute() == best]
    rest = [path for path in found if path.absolute() != best]
    room = max(save_total_limit - len(kept), 0 if only_best else 1)
    for path in rest[:len(rest) - room]:
        shutil.rmtree(path, ignore_errors=True)
