"""Memory: how much a run needs, and smaller batches where it does not fit."""

from __future__ import annotations

import gc
from logging import getLogger
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch

from enfold.errors import ConfigError
from enfold.train.trainer.ends import LESS, ran_out
from enfold.train.trainer.outputs import TrainOutput
from enfold.weights.place.devices import free_memory

if TYPE_CHECKING:
    from enfold.train.trainer.trainer import Trainer

_log = getLogger(__name__)


def fitting(trainer: Trainer, checkpoint: str | None, trial: Any,
            ignore_keys: list[str] | None) -> TrainOutput:
    """Train; with `auto_find_batch_size`, with half the batch whenever memory runs out."""
    size, given = trainer._train_batch_size, trainer.optimizer
    while True:
        try:
            return trainer._run(size, checkpoint, trial, ignore_keys)
        except (RuntimeError, MemoryError) as error:
            if not (ran_out(error) and trainer.args.auto_find_batch_size):
                raise
            if size == 1:
                raise ConfigError("auto_find_batch_size: a batch of 1 does not fit into memory "
                                  "either. Do: gradient_checkpointing=True, shorter texts, or an "
                                  "adapter") from error
        size //= 2
        _log.warning("a batch did not fit into memory: training begins again with %d", size)
        trainer.optimizer = given
        trainer.model.zero_grad(set_to_none=True)
        gc.collect()
        empty_cache(trainer._device)


def empty_cache(device: torch.device) -> None:
    """Give memory that torch's allocator holds and nobody uses back to the device."""
    if device.type in ("cuda", "mps", "xpu"):
        getattr(torch, device.type).empty_cache()


def estimate(trainer: Any) -> str:
    """Bytes of weights, gradients and optimizer state, in words; activations come on top."""
    weights = sum(p.nbytes for p in trainer.model.parameters())
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    state = _per_weight(str(getattr(trainer.args.optim, "value", trainer.args.optim))) * trained
    total = weights + 4 * trained + state
    left, parts = _left(trainer._device) + weights, trainer.ranks.world_size
    total, shared = (total // parts, f", over {parts} ranks") if trainer.ranks.sharded \
        else (total, "")
    text = (f"memory before activations: {_size(total)} (weights {_size(weights)}, gradients "
            f"{_size(4 * trained)}, optimizer {_size(state)}{shared})")
    text += f" of {_size(left)}" if isfinite(left) else ""
    return text if total < left else f"{text}, which is too little. {LESS}"


def _left(device: torch.device) -> float:
    """Bytes of a device that nobody uses."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return free_memory()


def _per_weight(optim: str) -> int:
    if "8bit" in optim:
        return 1 if "lion" in optim else 2
    return {"sgd": 0, "adafactor": 0, "lion_32bit": 4, "muon": 4}.get(optim, 8)


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
