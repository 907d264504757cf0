"""How a run is left that an error, or Ctrl-C, ends: nothing half done, and what to do said.

Training stops at once. Bars are closed, a checkpoint that is being written in the background is
completed, and the error gets a note of the step and of the checkpoint to go on from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from enfold.train.checkpoint.folders import forget_staging, get_last_checkpoint

WORKER = "DataLoader worker"
LOST = ("Connection closed by peer", "Connection reset by peer", "NCCL", "Broken pipe")
MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory",
          "CUBLAS_STATUS_ALLOC_FAILED")
LESS = ("Do: auto_find_batch_size=True; or a smaller per_device_train_batch_size with more "
        "gradient_accumulation_steps, which gives the same numbers; or "
        "gradient_checkpointing=True; or optim='adamw_8bit'; or an adapter")
REMEDIES = {
    "memory": f"The memory ran out. {LESS}",
    "worker": "A process that loads data was ended from outside, mostly by the system, where "
              "memory is short. Do: a smaller dataloader_num_workers; with 0 an error of the data "
              "is seen where it happens",
    "rank": "Another rank has ended, so this one can't go on. Do: look for the first error in its "
            "output",
}


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    return isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or \
        any(sign in str(error) for sign in MEMORY)


def leave(trainer: Any, error: BaseException) -> None:
    """Have nothing half done behind, and what to do in the notes of the error."""
    trainer._close_bars()
    trainer._forget_uploads()
    try:
        trainer._idle_writer()
    except Exception as other:  # the error that ended the run is the one to raise
        error.add_note(f"And the last checkpoint could not be written: {other}")
    if trainer.args.world_size == 1:  # other ranks may be writing still; the next save sweeps
        forget_staging(trainer._run_dir())
    for note in (_remedy(error), _place(trainer)):
        if note:
            error.add_note(note)


def _remedy(error: BaseException) -> str | None:
    if isinstance(error, (RuntimeError, MemoryError)):
        if ran_out(error):
            return REMEDIES["memory"]
        if WORKER in str(error):
            return REMEDIES["worker"]
        if any(sign in str(error) for sign in LOST):
            return REMEDIES["rank"]
    return None


def _place(trainer: Any) -> str | None:
    """Where the run stood, and where it can go on."""
    state, run = trainer.state, Path(trainer._run_dir())
    if not state.global_step or not trainer.is_world_process_zero():
        return None
    last = get_last_checkpoint(run) if run.is_dir() else None
    if last is None:
        return (f"Training stood at step {state.global_step} of {state.max_steps}, and no "
                f"checkpoint was written yet (save_strategy, save_steps)")
    return (f"Training stood at step {state.global_step} of {state.max_steps}. "
            f"{Path(last).name} is whole: train(resume_from_checkpoint=True) goes on from there")
