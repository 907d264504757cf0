"""The training loop: epochs, optimizer steps, and what happens between them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from logging import getLogger
from typing import Any

import torch
from torch import Tensor

from enfold.train.budget import BudgetOrder
from enfold.train.trainer import between
from enfold.train.trainer.evaluating import Evaluating
from enfold.train.trainer.finite import bad_gradient, bad_loss
from enfold.train.trainer.memory import empty_cache, estimate
from enfold.train.trainer.optimizing import Optimizing
from enfold.train.trainer.outputs import TrainOutput, speed_metrics
from enfold.train.trainer.plan import Plan, make_plan
from enfold.train.trainer.precision import clip, norm_of
from enfold.train.trainer.resuming import Progress
from enfold.train.trainer.saving import Saving

_log = getLogger(__name__)


class Loop(Evaluating, Optimizing, Saving):
    """`train` from the first step to the last."""

    progress: Progress

    def _run(self, batch_size: int, checkpoint: str | None, trial: Any,
             ignore_keys: list[str] | None) -> TrainOutput:
        """Train with batches of this size, from the start or from a checkpoint."""
        self._train_batch_size = batch_size
        loader = self.get_train_dataloader()
        self._feed = loader if hasattr(loader, "is_ghost") else None
        order = getattr(loader, "order", None)
        typical = order.mean_rows() if isinstance(order, BudgetOrder) else batch_size
        plan = make_plan(self.args, loader, typical, self._rows(loader))
        self._begin_state(plan, trial)
        self._prepare(plan)
        self.progress = Progress(self._device, batch_size * self.args.world_size)
        if checkpoint is not None:
            self._restore(checkpoint, plan)
        self._hand_over(loader)
        _log.info("training: %d rows, %d epochs, %d optimizer steps of %d rows, %d weights",
                  plan.rows, plan.epochs, plan.steps, plan.together,
                  self.get_num_trainable_parameters())
        start, before = time.time(), self.state.global_step
        self.model_wrapped.zero_grad()
        self.call("on_train_begin")
        self._tell(estimate(self))
        if self.args.eval_on_start and checkpoint is None:
            self._evaluate_now(ignore_keys, first=True)
        for epoch in range(self.progress.epoch, plan.epochs):
            if self.state.global_step >= plan.steps:  # resumed where it had ended
                break
            self._epoch(epoch, loader, plan, ignore_keys, start)
            if self.control.should_training_stop:
                break
        return self._finish(plan, start, before)

    def _rows(self, loader: Any) -> int | None:
        try:
            return self.num_examples(loader)
        except (TypeError, NotImplementedError):
            return None

    def _begin_state(self, plan: Plan, trial: Any) -> None:
        from enfold.train.callbacks import TrainerState

        self.state = TrainerState()
        self.state.is_hyper_param_search = trial is not None
        self.state.train_batch_size = self._train_batch_size
        self.state.compute_steps(self.args, plan.steps)
        self.state.init_training_references(self, plan.steps, plan.epochs, trial)

    def _prepare(self, plan: Plan) -> None:
        """Have model, optimizer and schedule ready for the first step."""
        raise NotImplementedError("Trainer._prepare")

    def _hand_over(self, loader: Any) -> None:
        for name in ("model", "optimizer", "lr_scheduler"):
            setattr(self.callback_handler, name, getattr(self, name))
        self.callback_handler.train_dataloader = loader

    # ---- an epoch --------------------------------------------------------------------------------
    def _epoch(self, epoch: int, loader: Any, plan: Plan, ignore_keys: list[str] | None,
               start: float) -> None:
        self.call("on_epoch_begin")
        batches = self.progress.enter(epoch, loader)
        done = self.progress.done
        while done < plan.epoch_batches:
            wanted = min(plan.accumulate, plan.epoch_batches - done)
            given, items = self.get_batch_samples(batches, wanted, self._device)
            if not given:
                break
            done += len(given)
            self._step(given, items)
            self.state.epoch = epoch + done / plan.epoch_batches
            self.progress.done = done
            self.call("on_step_end")
            self._log_evaluate_save(loader, ignore_keys, start)
            if self.control.should_epoch_stop or self.control.should_training_stop:
                break
        if not done:
            _log.warning("the training data gave no batch in epoch %d: training stops at step %d "
                         "of %d", epoch, self.state.global_step, plan.steps)
            self.control.should_training_stop = True
        if not self.control.should_training_stop or done >= plan.epoch_batches:
            self.progress.leave()
        self.call("on_epoch_end")
        self._log_evaluate_save(loader, ignore_keys, start)

    # ---- an optimizer step -----------------------------------------------------------------------
    def _step(self, batches: list[Any], items: Tensor | None) -> None:
        self.current_gradient_accumulation_steps = len(batches)
        self.call("on_step_begin")
        parts = []
        for number, inputs in enumerate(batches):
            last = number == len(batches) - 1
            with nullcontext() if last else self.ranks.no_sync(self.model_wrapped):
                parts.append(self.training_step(self.model_wrapped, inputs, items))
            self._count_tokens(inputs)
            if not last:
                self.call("on_substep_end")
        loss = torch.stack(parts).sum()
        if not torch.isfinite(loss):
            at = next(n for n, part in enumerate(parts) if not torch.isfinite(part))
            raise bad_loss(self.model, self._prepare_inputs(batches[at]),
                           self.state.global_step + 1, parts[at])
        self.progress.loss += loss
        if self.args.torch_empty_cache_steps and \
                (self.state.global_step + 1) % self.args.torch_empty_cache_steps == 0:
            empty_cache(self._device)
        self._update()

    def _update(self) -> None:
        self.precision.unscale(self.optimizer)
        norm = norm_of(self.model_wrapped)
        if self.precision.scaler is None and not torch.isfinite(norm):
            raise bad_gradient(self.model, self.state.global_step + 1, norm)
        clip(self.model_wrapped, self.args.max_grad_norm, norm)
        self.progress.grad_norm = norm
        self.call("on_pre_optimizer_step")
        stepped = self.precision.step(self.optimizer)
        self.call("on_optimizer_step")
        if stepped:
            between.after_step(self.model, self.state.global_step + 1)
        self.progress.learning_rate = self._get_learning_rate()
        if stepped and not self._by_metric():
            self.lr_scheduler.step()
        self.model_wrapped.zero_grad()
        self.state.global_step += 1

    # ---- between steps ---------------------------------------------------------------------------
    def _log_evaluate_save(self, loader: Any, ignore_keys: list[str] | None, start: float) -> None:
        if self.control.should_log and self.state.global_step > self.progress.logged:
            self._log_step(start)
        if self.control.should_evaluate:
            best = self._is_best(self._evaluate_now(ignore_keys))
            self._save_if_best(best)
        if self.control.should_save:
            self.progress.note(loader)
            self._save_checkpoint(self.model_wrapped, None)
            self.call("on_save")

    def _log_step(self, start: float) -> None:
        self._weights_to_evaluate()
        progress, state = self.progress, self.state
        loss = progress.loss
        if self.args.world_size > 1:
            loss = self.ranks.sum(loss.clone())
        total = float(loss)
        progress.loss.zero_()
        logs = {"loss": total / (state.global_step - progress.logged),
                "grad_norm": float(progress.grad_norm), "learning_rate": progress.learning_rate}
        progress.total += total
        progress.logged = state.global_step
        self.store_flos()
        self.log(logs, start)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the callbacks, and keep in `state.log_history`, numbers of this step."""
        if self.state.epoch is not None:
            logs["epoch"] = self.state.epoch
        if _shows_tokens(self.args):
            logs["num_input_tokens_seen"] = self.state.num_input_tokens_seen
            if start_time is not None:
                seen = self.state.num_input_tokens_seen - self.progress.tokens_before
                logs.update(speed_metrics("train", start_time, num_tokens=seen))
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.call("on_log", logs=logs)

    def _evaluate_now(self, ignore_keys: list[str] | None, first: bool = False) -> dict[str, float]:
        metrics = self.evaluate(ignore_keys=ignore_keys)
        self._report_trial(metrics)
        if self._by_metric() and not first:
            self.lr_scheduler.step(self._metric(metrics))
        return metrics

    def _finish(self, plan: Plan, start: float, before: int) -> TrainOutput:
        progress, state = self.progress, self.state
        loss = progress.loss
        if self.args.world_size > 1:
            loss = self.ranks.sum(loss.clone())
        progress.total += float(loss)
        steps = state.global_step - before
        mean = progress.total / max(state.global_step - progress.since, 1)
        share = steps / max(state.max_steps, 1)
        seen = state.num_input_tokens_seen - progress.tokens_before
        metrics = speed_metrics("train", start, plan.seen * share, steps,
                                seen if self.args.include_tokens_per_second else None)
        self.store_flos()
        metrics |= {"total_flos": state.total_flos, "train_loss": mean}
        self.is_in_train = False
        self.log(metrics)
        self._end_checkpoints()
        self.call("on_train_end")
        return TrainOutput(state.global_step, mean, metrics)

    # ---- counts ----------------------------------------------------------------------------------
    def _count_tokens(self, inputs: Any) -> None:
        name = getattr(self.model, "main_input_name", "input_ids")
        if not isinstance(inputs, Mapping) or name not in inputs:
            return
        self.progress.flos += float(self.floating_point_ops(inputs))
        if not (_shows_tokens(self.args) or self.args.include_tokens_per_second):
            return
        seen = torch.tensor(inputs[name].numel())
        if self.args.include_num_input_tokens_seen == "non_padding" and "attention_mask" in inputs:
            seen = inputs["attention_mask"].sum()
        if self.args.world_size > 1:
            seen = self.ranks.sum(seen.to(self._device))
        self.state.num_input_tokens_seen += int(seen)

    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """Floating point operations of a step on these inputs: 6 per weight and token."""
        if hasattr(self.model, "floating_point_ops"):
            return int(self.model.floating_point_ops(inputs))
        main = inputs.get(getattr(self.model, "main_input_name", "input_ids"))
        if main is None or not hasattr(self.model, "num_parameters"):
            return 0
        if self._weights is None:
            self._weights = self.model.num_parameters(exclude_embeddings=True)
        return 6 * int(main.numel()) * self._weights

    _weights: int | None = None

    def store_flos(self) -> None:
        """Add the operations since the last call to `state.total_flos`."""
        flos = torch.tensor(self.progress.flos, dtype=torch.float64)
        if self.args.world_size > 1:
            flos = self.ranks.sum(flos.to(self._device))
        self.state.total_flos += float(flos)
        self.progress.flos = 0.0


def _shows_tokens(args: Any) -> bool:
    return getattr(args, "include_num_input_tokens_seen", "no") not in (False, None, "no")
