"""Evaluation and prediction, batch by batch.

Only what is asked for is kept: without `compute_metrics` no logits at all, and with
`args.batch_eval_metrics` those of one batch.  The loss is the mean over all items (tokens, rows)
of the data, whatever the batch size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any, cast

import torch
from torch import Tensor, nn

from enfold.errors import ConfigError
from enfold.train.trainer.arrays import Collected, nested
from enfold.train.trainer.batches import Batches, has_length
from enfold.train.trainer.core import Batch
from enfold.train.trainer.counting import batch_rows, count, returns_loss
from enfold.train.trainer.gathering import gathered
from enfold.train.trainer.outputs import (
    EvalLoopOutput,
    EvalPrediction,
    PredictionOutput,
    plain,
    speed_metrics,
)
from enfold.train.trainer.steps import Steps

_log = getLogger(__name__)


@dataclass
class _Run:
    """An evaluation on its way."""

    loss_only: bool
    keep: bool  # logits and labels, to the end
    predictions: Collected = field(default_factory=Collected)
    labels: Collected = field(default_factory=Collected)
    inputs: Collected = field(default_factory=Collected)
    losses: Collected = field(default_factory=Collected)
    loss: float = 0.0
    items: float = 0.0
    rows: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


class Evaluating(Steps, Batches):
    """`evaluate` and `predict`; override `prediction_step`, `evaluation_loop`."""

    def evaluate(self, eval_dataset: Any = None, ignore_keys: list[str] | None = None,
                 metric_key_prefix: str = "eval") -> dict[str, float]:
        """Metrics of a dataset, or of several by name; `self.eval_dataset` by default."""
        given = eval_dataset is not None
        dataset = eval_dataset if given else self.eval_dataset
        if isinstance(dataset, Mapping):
            found: dict[str, float] = {}
            for name, part in dataset.items():
                found |= self.evaluate(part if given else name, ignore_keys,
                                       f"{metric_key_prefix}_{name}")
            return found
        loader, start = self.get_eval_dataloader(eval_dataset), time.time()
        output = self.evaluation_loop(
            loader, description="Evaluation", ignore_keys=ignore_keys,
            prediction_loss_only=True if self.compute_metrics is None else None,
            metric_key_prefix=metric_key_prefix)
        metrics = self._timed(output, start, metric_key_prefix)
        self.log(metrics)
        self.call("on_evaluate", metrics=metrics)
        return metrics

    def predict(self, test_dataset: Any, ignore_keys: list[str] | None = None,
                metric_key_prefix: str = "test") -> PredictionOutput:
        """Predictions, labels and metrics of a dataset, as arrays padded with -100."""
        loader, start = self.get_test_dataloader(test_dataset), time.time()
        output = self.evaluation_loop(loader, description="Prediction", ignore_keys=ignore_keys,
                                      metric_key_prefix=metric_key_prefix)
        metrics = self._timed(output, start, metric_key_prefix)
        self.call("on_predict", metrics=metrics)
        return PredictionOutput(output.predictions, output.label_ids, metrics)

    def _timed(self, output: EvalLoopOutput, start: float, prefix: str) -> dict[str, float]:
        rows, together = output.num_samples or 0, self.args.eval_batch_size * self.args.world_size
        return {**(output.metrics or {}),
                **speed_metrics(prefix, start, rows, math.ceil(rows / together))}

    # ---- the loop --------------------------------------------------------------------------------
    def evaluation_loop(self, dataloader: Any, description: str,
                        prediction_loss_only: bool | None = None,
                        ignore_keys: list[str] | None = None,
                        metric_key_prefix: str = "eval") -> EvalLoopOutput:
        """Predictions, labels and metrics of a loader."""
        args, model = self.args, self._for_evaluation()
        if prediction_loss_only is None:
            prediction_loss_only = bool(args.prediction_loss_only)
        run = _Run(prediction_loss_only, not args.batch_eval_metrics or description == "Prediction")
        dataset = getattr(dataloader, "dataset", None)
        run.predictions.expected = len(cast(Any, dataset)) if has_length(dataset) else None
        for kept in (run.predictions, run.labels, run.inputs):
            kept.joined = args.eval_do_concat_batches
            kept.every = args.eval_accumulation_steps or 1
        self.callback_handler.eval_dataloader = dataloader
        _log.info("%s: batches of %d", description, args.eval_batch_size)
        for inputs, ghost, last in _with_last(dataloader):
            self._evaluate_batch(run, model, inputs, last, ignore_keys, ghost)
            self.call("on_prediction_step")
        return self._ended(run, metric_key_prefix, dataloader)

    def _for_evaluation(self) -> nn.Module:
        model, args = self.model, self.args
        full = {torch.float16: args.fp16_full_eval, torch.bfloat16: args.bf16_full_eval}
        for dtype, asked in full.items():
            if asked and not self.is_in_train:
                model.to(dtype=dtype)
        self._place()
        model.eval()
        if self.ranks.sharded and self.model_wrapped is not model:
            model = self.model_wrapped
        self._weights_to_evaluate()
        return model  # type: ignore[no-any-return]

    def _evaluate_batch(self, run: _Run, model: nn.Module, inputs: Batch, last: bool,
                        ignore_keys: list[str] | None, ghost: bool) -> None:
        loss, logits, labels = self.prediction_step(model, inputs, run.loss_only,
                                                    ignore_keys=ignore_keys)
        rows = 0 if ghost else batch_rows(inputs) or 0
        if logits is not None and self.args.world_size > 1:
            logits, labels = (part if part is None else gathered(
                self.ranks, part, rows, self.args.eval_use_gather_object)
                for part in (logits, labels))
        if logits is not None and self.preprocess_logits_for_metrics is not None:
            logits = self.preprocess_logits_for_metrics(logits, labels)
        self._add_loss(run, loss, inputs, rows)
        asked = self.args.include_for_metrics
        given = self._main_input(inputs, rows) if "inputs" in asked else None
        if run.keep and not run.loss_only:
            for kept, part in ((run.predictions, logits), (run.labels, labels),
                               (run.inputs, given)):
                if part is not None:
                    kept.add(part)
        if self.args.batch_eval_metrics and self.compute_metrics is not None \
                and logits is not None and labels is not None:
            batch = EvalPrediction(logits, labels, given, loss if "loss" in asked else None)
            run.metrics = self.compute_metrics(batch, compute_result=last) or {}

    def _add_loss(self, run: _Run, loss: Tensor | None, inputs: Batch, rows: int) -> None:
        items = count(inputs, self.label_names, self._shifts) if rows else torch.tensor(0)
        number = torch.tensor([0.0 if loss is None else float(loss), rows, float(
            rows if items is None else items)], dtype=torch.float64)
        each = number[None]
        if self.args.world_size > 1:
            each = self.ranks.gather(each.to(self.args.device)).cpu().view(-1, 3)
        for value, count_rows, counted in each.tolist():
            run.rows += int(count_rows)
            if loss is not None and counted:
                run.loss, run.items = run.loss + value * counted, run.items + counted
                if "loss" in self.args.include_for_metrics:
                    run.losses.add(torch.full((int(count_rows),), value))

    def _main_input(self, inputs: Batch, rows: int) -> Any:
        found = self._prepare_input(inputs[getattr(self.model, "main_input_name", "input_ids")])
        return gathered(self.ranks, found, rows) if self.args.world_size > 1 else found

    def _ended(self, run: _Run, prefix: str, loader: Any) -> EvalLoopOutput:
        predictions, labels = run.predictions.arrays(), run.labels.arrays()
        metrics = run.metrics
        if self.compute_metrics is not None and not self.args.batch_eval_metrics \
                and predictions is not None and labels is not None:
            metrics = self.compute_metrics(EvalPrediction(
                predictions, labels, run.inputs.arrays(), run.losses.arrays()))
        metrics = plain(metrics)
        if not isinstance(metrics, dict):
            raise ConfigError(f"compute_metrics returned a {type(metrics).__name__}, expected a "
                              "dict of numbers by name. Do: return {'accuracy': ...}")
        if run.items:
            metrics[f"{prefix}_loss"] = run.loss / run.items
        named = {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value
                 for name, value in metrics.items()}
        dataset = getattr(loader, "dataset", None)
        rows = run.rows or (len(cast(Any, dataset)) if has_length(dataset) else 0)
        return EvalLoopOutput(predictions, labels, named, rows)

    # ---- a batch ---------------------------------------------------------------------------------
    def prediction_step(self, model: nn.Module, inputs: Batch, prediction_loss_only: bool,
                        ignore_keys: list[str] | None = None
                        ) -> tuple[Tensor | None, Any, Any]:
        """(loss, logits, labels) of a batch; each None where there is none."""
        labelled = bool(self.label_names) and all(inputs.get(name) is not None
                                                  for name in self.label_names)
        asked = inputs.get("return_loss")
        alone = not self.label_names and (returns_loss(self.model) if asked is None else asked)
        inputs = self._prepare_inputs(inputs)
        if ignore_keys is None:
            config = getattr(self.model, "config", None)
            ignore_keys = getattr(config, "keys_to_ignore_at_inference", None) or \
                ["past_key_values"]
        labels = tuple(inputs.get(name) for name in self.label_names) if labelled else None
        with torch.no_grad(), self.compute_loss_context_manager():
            if labelled or alone:
                found = self.compute_loss(model, inputs, return_outputs=not prediction_loss_only)
                loss, outputs = (found, None) if prediction_loss_only else found
                loss = loss.detach().mean()
            else:
                loss, outputs = None, self._outputs(model, inputs)
        if prediction_loss_only:
            return loss, None, None
        logits = _logits(outputs, [*ignore_keys, "loss"] if loss is not None else ignore_keys,
                         skip=loss is not None)
        if labels is not None and len(labels) == 1:
            labels = labels[0]
        return loss, logits, labels


def _logits(outputs: Any, ignored: Iterable[str], skip: bool) -> Any:
    """What a model returned beside its loss; alone if it is one thing."""
    if isinstance(outputs, Mapping):
        parts: Any = tuple(part for name, part in outputs.items()
                           if name not in ignored and part is not None)
    elif torch.is_tensor(outputs):
        return outputs.detach()
    else:
        parts = tuple(outputs[1:] if skip else outputs)
    parts = nested(lambda part: part.detach() if torch.is_tensor(part) else part, parts)
    return parts[0] if len(parts) == 1 else parts


def _with_last(loader: Any) -> Iterator[tuple[Any, bool, bool]]:
    """Each batch, whether it is one that must not count, and whether it is the last."""
    is_ghost = getattr(loader, "is_ghost", lambda: False)
    held: tuple[Any, bool] | None = None
    for batch in loader:
        if held is not None:
            yield *held, False
        held = batch, is_ghost()
    if held is not None:
        yield *held, True
