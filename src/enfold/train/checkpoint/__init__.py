"""Folders of checkpoints: written whole or not at all, found, and cleared away."""

from enfold.train.checkpoint.background import Writer
from enfold.train.checkpoint.folders import (
    get_last_checkpoint,
    remove,
    rotate_checkpoints,
    writing,
)

__all__ = ["Writer", "get_last_checkpoint", "remove", "rotate_checkpoints", "writing"]
