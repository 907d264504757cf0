"""Checkpoints of a run, written and read, and the best model kept."""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any

import torch

from enfold.errors import CheckpointError, ConfigError
from enfold.train.checkpoint import Writer, pieces, remove, rotate_checkpoints, writing
from enfold.train.parallel.sharding import is_sharded
from enfold.train.trainer import between
from enfold.train.trainer.core import Core
from enfold.train.trainer.plan import Plan
from enfold.train.trainer.resuming import Progress, read_saved, rng_state
from enfold.train.trainer.states import load_state, named_state
from enfold.train.trainer.weights import load_weights, save_weights

_log = getLogger(__name__)
OPTIMIZER, SCHEDULER, SCALER = "optimizer.pt", "scheduler.pt", "scaler.pt"
STATE, ARGUMENTS = "trainer_state.json", "training_args.bin"


class Saving(Core):
    """`save_model`, checkpoints, and going on from them.

    `async_save`: checkpoints are copied in memory and written while training goes on; `on_save` is
    called before they are on disk then.  The next save waits for the one before, and the end too.
    """

    async_save: bool = False
    progress: Progress
    _writer: Writer | None = None
    _stale: str | None = None  # a checkpoint that goes when the next is written

    def save_model(self, output_dir: str | os.PathLike[str] | None = None,
                   _internal_call: bool = False) -> None:
        """Write the model, its tokenizer and the arguments, as `from_pretrained` reads them."""
        self._weights_to_evaluate()
        folder = self.args.output_dir if output_dir is None else os.fspath(output_dir)
        state = self.ranks.full_state(self.model) if self.ranks.sharded else None
        if self.args.should_save:
            self._save(folder, state)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save")

    def save_state(self) -> None:
        """Write trainer_state.json, with what was logged, into `args.output_dir`."""
        if self.args.should_save:
            self.state.save_to_json(Path(self.args.output_dir) / STATE)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.model, folder, state_dict, self.args.save_safetensors)
        self._save_beside(folder)

    def _save_beside(self, folder: Path) -> None:
        """Write what a model needs beside its weights."""
        tokenizer: Any = self.processing_class or getattr(self.data_collator, "tokenizer", None)
        if hasattr(tokenizer, "save_pretrained"):
            tokenizer.save_pretrained(folder)
        torch.save(self.args, folder / ARGUMENTS)

    # ---- writing ---------------------------------------------------------------------------------
    def _run_dir(self, trial: Any = None) -> Path:
        return Path(self._get_output_dir(trial))

    def _get_output_dir(self, trial: Any = None) -> str:
        """Where the checkpoints of a run, or of a trial of a search, are written."""
        return str(self.args.output_dir)

    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        """Write `checkpoint-<step>`: whole, or not at all."""
        self._weights_to_evaluate()
        from enfold.train.callbacks.state import exported
        self.store_flos()
        run, step = self._run_dir(trial), self.state.global_step
        folder = run / f"checkpoint-{step}"
        if self.state.best_global_step == step:
            self.state.best_model_checkpoint = str(folder)
        self.state.stateful_callbacks = exported(self._stateful())
        writer = self._idle_writer()
        with writing(folder, self.args.process_index, self.args.world_size, writer) as staging:
            self._write(Path(staging), writer)
            self.ranks.barrier()  # before files are flushed, which others may still be moving
        stale, self._stale = self._stale, None
        if self.args.should_save:
            writer.do(partial(self._push_from_checkpoint, folder))
            if stale is not None:
                writer.do(partial(remove, stale))
            writer.do(partial(
                rotate_checkpoints, output_dir=str(run),
                save_total_limit=self.args.save_total_limit,
                best_model_checkpoint=self.state.best_model_checkpoint))
        writer.start()

    def _idle_writer(self) -> Writer:
        """What writes checkpoints, done with the one before."""
        if self._writer is None or self._writer.background != self.async_save:
            self._writer = Writer(self.async_save)
        self._writer.wait()
        return self._writer

    def _push_from_checkpoint(self, checkpoint_folder: str | os.PathLike[str]) -> None:
        """Upload a checkpoint; `Hub` says how."""

    def _finish_current_push(self) -> None:
        """Wait for uploads; `Hub` says how."""

    def store_flos(self) -> None:
        """Add up operations; the loop says how."""
        raise NotImplementedError("Trainer.store_flos")

    def _write(self, folder: Path, writer: Writer) -> None:
        args, in_pieces = self.args, self.ranks.sharded and self.ranks.plan.pieces
        if in_pieces:
            pieces.save_weights(self.model, folder)
            if args.should_save:
                self._save_beside(folder)
        elif self.async_save:
            self._save_later(folder, writer)
        else:
            self.save_model(folder, _internal_call=True)
        if not args.save_only_model:
            suffix = f"_{args.process_index}" if args.world_size > 1 else ""
            torch.save(rng_state(), folder / f"rng_state{suffix}.pth")
            torch.save(self.progress.state_dict(), folder / f"progress{suffix}.pt")
            state = between.training_state(self.model)
            if state and args.should_save:
                writer.save(state, folder / between.FILE)
            self._write_optimizer(folder, writer)
        if args.should_save:  # last: with it a checkpoint is whole
            self.state.save_to_json(str(folder / STATE))

    def _save_later(self, folder: Path, writer: Writer) -> None:
        state = self.ranks.full_state(self.model) if self.ranks.sharded else \
            writer.kept(dict(self.model.state_dict()))
        if self.args.should_save:
            writer.do(partial(self._save, str(folder), state))

    def _write_optimizer(self, folder: Path, writer: Writer) -> None:
        if self.ranks.sharded:
            pieces.save_optimizer(self.model, self.optimizer, folder)
        if not self.args.should_save:
            return
        if not self.ranks.sharded:
            writer.save(named_state(self.model, self.optimizer), folder / OPTIMIZER)
        writer.save(self.lr_scheduler.state_dict(), folder / SCHEDULER)
        if self.precision.scaler is not None:
            writer.save(self.precision.scaler.state_dict(), folder / SCALER)

    def _stateful(self) -> list[Any]:
        from enfold.train.callbacks import ExportableState

        return [callback for callback in (*self.callback_handler.callbacks, self.control)
                if isinstance(callback, ExportableState)]

    # ---- reading ---------------------------------------------------------------------------------
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Read the weights of a checkpoint into the model."""
        folder, model = Path(resume_from_checkpoint), self.model if model is None else model
        if (folder / between.FILE).is_file():
            between.load_training_state(model, read_saved(folder / between.FILE))
            return
        if (folder / pieces.WEIGHTS).is_dir():
            pieces.load_weights(model, folder)
            return
        with pieces.taking_whole() if is_sharded(model) else nullcontext():
            load_weights(model, folder)

    def _restore(self, checkpoint: str, plan: Plan) -> None:
        """Have optimizer, schedule, scaler, state and place as in the checkpoint."""
        folder, args = Path(checkpoint), self.args
        self._read_state(folder)
        self._read_optimizer(folder)
        for name, part in ((SCHEDULER, self.lr_scheduler), (SCALER, self.precision.scaler)):
            if part is not None and (folder / name).is_file():
                part.load_state_dict(read_saved(folder / name, self._device))
        suffix = f"_{args.process_index}" if args.world_size > 1 else ""
        rng = folder / f"rng_state{suffix}.pth"
        self.progress.rng = read_saved(rng) if rng.is_file() else None
        if not self.progress.read(folder, args.process_index, args.world_size):
            self.progress.guess(self.state.global_step, plan.epoch_steps, plan.accumulate)
        if args.ignore_data_skip:
            self.progress.done, self.progress.data = 0, None
        self.progress.tokens_before = self.state.num_input_tokens_seen

    def _read_optimizer(self, folder: Path) -> None:
        if (folder / pieces.OPTIMIZER).is_dir():
            pieces.load_optimizer(self.model, self.optimizer, folder)
        elif (folder / OPTIMIZER).is_file():
            state = read_saved(folder / OPTIMIZER, self._device)
            if self.ranks.sharded:
                state |= pieces.in_pieces(self.model, self.optimizer, state)
            load_state(self.model, self.optimizer, state, folder / OPTIMIZER)
        else:
            _log.warning("%s has no %s: the optimizer begins anew", folder, OPTIMIZER)

    def _read_state(self, folder: Path) -> None:
        if not (folder / STATE).is_file():
            raise CheckpointError(f"{folder} has no {STATE}, so where its run stood is not known. "
                                  "Do: resume from a folder checkpoint-<step> of a Trainer")
        fresh, state = self.state, type(self.state).load_from_json(str(folder / STATE))
        for name in ("max_steps", "num_train_epochs", "logging_steps", "eval_steps", "save_steps",
                     "is_local_process_zero", "is_world_process_zero"):
            setattr(state, name, getattr(fresh, name))
        best = state.best_model_checkpoint
        if best is not None and not os.path.isdir(best):
            near = folder.parent / Path(best).name  # the run was moved
            state.best_model_checkpoint = str(near) if near.is_dir() else None
        self.state = state
        if self.args.restore_callback_states_from_checkpoint:
            self._restore_callbacks()

    def _restore_callbacks(self) -> None:
        held: dict[str, list[Any]] = {name: list(states) if isinstance(states, list) else [states]
                                      for name, states in self.state.stateful_callbacks.items()}
        for callback in self._stateful():
            states = held.get(type(callback).__name__)
            if states:
                kept = states.pop(0)
                for name, value in {**kept.get("args", {}), **kept.get("attributes", {})}.items():
                    setattr(callback, name, value)

    # ---- the best --------------------------------------------------------------------------------
    def _metric(self, metrics: dict[str, float]) -> float:
        """The number of an evaluation that decides."""
        name = self.args.metric_for_best_model or "loss"
        name = name if name.startswith("eval_") else f"eval_{name}"
        if name not in metrics:
            raise ConfigError(f"metric_for_best_model is {self.args.metric_for_best_model!r}, but "
                              f"the evaluation gave {sorted(metrics)}. Do: name one of these, or "
                              "have compute_metrics return it")
        return float(metrics[name])

    def _is_best(self, metrics: dict[str, float]) -> bool:
        """Whether an evaluation is better than all before it; takes it down then."""
        if self.args.metric_for_best_model is None:
            return False
        value, best = self._metric(metrics), self.state.best_metric
        if best is not None and not (value > best if self.args.greater_is_better
                                     else value < best):
            return False
        self.state.best_metric, self.state.best_global_step = value, self.state.global_step
        return True

    def _save_if_best(self, best: bool) -> None:
        """Have the best model on disk, though it is not the time to save.

        Such a checkpoint goes when a better one comes.
        """
        by_best = str(getattr(self.args.save_strategy, "value", self.args.save_strategy)) == "best"
        if by_best:
            self.control.should_save = best
        if not best or by_best or not self.args.load_best_model_at_end:
            return
        self._stale, self.progress.spare = self.progress.spare, None
        if not self.control.should_save:
            self.control.should_save = True
            self.progress.spare = str(self._run_dir() / f"checkpoint-{self.state.global_step}")

    def _end_checkpoints(self) -> None:
        """Load the best model, and delete what `save_total_limit` no longer allows."""
        self._idle_writer()
        self._finish_current_push()
        best = self.state.best_model_checkpoint
        if self.args.load_best_model_at_end and best is not None:
            _log.info("loading the best model, %s (%s)", best, self.state.best_metric)
            self._load_from_checkpoint(best)
        if self.args.should_save and best is not None and self.args.save_total_limit == 1:
            rotate_checkpoints(output_dir=str(self._run_dir()), save_total_limit=1,
                               best_model_checkpoint=best, only_best=True)
