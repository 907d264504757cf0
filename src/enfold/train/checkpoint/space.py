"""A disk that is full while a checkpoint is written: what is told then."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OF_TORCH = ("PytorchStreamWriter", "inline_container", "iostream")  # RuntimeErrors, no number


@contextmanager
def writing_to(folder: str | os.PathLike[str]) -> Iterator[None]:
    """A block that writes into `folder`: an error of a full disk says what to do."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_full(error):
            raise
        folder = Path(folder)
        free = shutil.disk_usage(_existing(folder)).free
        raise OSError(errno.ENOSPC, f"a checkpoint could not be written ({error}): {free:,} bytes "
                      "are free there. The checkpoints before it are whole. Do: free some space, "
                      "lower save_total_limit, set save_only_model=True, or choose an output_dir "
                      "on another disk; then train(resume_from_checkpoint=True)",
                      str(folder)) from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL and "Do: " not in str(error)
    return any(sign in str(error) for sign in OF_TORCH)


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
