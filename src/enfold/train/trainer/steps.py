"""A training step: its batches, its loss, its gradients.

The loss of an optimizer step is the sum over its items (tokens, rows) by their number, over all
its batches and all ranks, for every model.  A batch whose loss is a mean adds
`loss * items of the batch / items of the step`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.nn.tokens import only_loss
from enfold.train.trainer.core import Batch, Core
from enfold.train.trainer.counting import accepts, count, reads


class Steps(Core):
    """Losses of a Trainer; override `compute_loss` or `training_step`."""

    def training_step(self, model: nn.Module, inputs: Batch,
                      num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Add the gradients of a batch; its part of the loss of the optimizer step.

        num_items_in_batch: the items of the whole step, of which this is a part.
        """
        model.train()
        if callable(getattr(self.optimizer, "train", None)):
            self.optimizer.train()
        ghost = id(inputs) in self._ghosts
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self._part_of_step(model, inputs, num_items_in_batch)
        if ghost:
            loss = loss * 0
        # ranks average gradients, and the loss is a sum over them
        self.precision.backward(loss * self.args.world_size if self.args.world_size > 1 else loss)
        return loss.detach()

    def compute_loss(self, model: nn.Module, inputs: Batch, return_outputs: bool = False,
                     num_items_in_batch: Tensor | int | None = None) -> Any:
        """The loss of a batch, and with `return_outputs` (loss, outputs).

        With `num_items_in_batch`, the batch's part of the loss of so many items; without, the
        mean over the batch.  An override that does not use that argument returns the mean; one
        that uses it returns the sum / num_items_in_batch (or sets `loss_is_scaled_for_ga`).
        """
        smoothing, custom = self.label_smoother, self.compute_loss_func
        own = count(inputs, self.label_names, self._shifts)
        labels = None
        if "labels" in inputs and (smoothing is not None or custom is not None):
            inputs, labels = self._without_labels(inputs)
        if self._takes_items and own is not None and labels is None:
            inputs = {**inputs, "num_items_in_batch": own.clamp(min=1)}
        alone = custom is None and labels is None and not return_outputs
        with only_loss() if alone else nullcontext():
            outputs = self._outputs(model, inputs)
        if custom is not None:
            loss = self._custom(custom, outputs, labels, num_items_in_batch)
        elif labels is not None:
            loss = smoothing(outputs, labels, shift_labels=self._shifts,
                             num_items_in_batch=num_items_in_batch)
            self._scaled = num_items_in_batch is not None
        else:
            loss = _loss_of(outputs, inputs, self._left_out)
            loss = self._scale(loss, outputs, own, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def compute_loss_context_manager(self) -> AbstractContextManager[Any]:
        """The context of every forward pass: autocast, in mixed precision."""
        return self.autocast_smart_context_manager()

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True
                                       ) -> AbstractContextManager[Any]:
        """Autocast in the type that `args` says, or nothing."""
        return self.precision.autocast()  # type: ignore[no-any-return]

    # ---- batches ---------------------------------------------------------------------------------
    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int,
                          device: torch.device | None = None
                          ) -> tuple[list[Batch], Tensor | None]:
        """The batches of an optimizer step, and the number of items in them on all ranks."""
        self._ghosts.clear()
        batches = []
        for _, batch in zip(range(num_batches), epoch_iterator, strict=False):
            batches.append(batch)
            if self._feed is not None and self._feed.is_ghost():
                self._ghosts.add(id(batch))
        return batches, self._get_num_items_in_batch(batches, device or self._device)

    def _get_num_items_in_batch(self, batch_samples: list[Batch],
                                device: torch.device) -> Tensor | None:
        if not batch_samples or not isinstance(batch_samples[0], Mapping):
            return None
        counts = [count(batch, self.label_names, self._shifts) for batch in batch_samples]
        found = [items * (id(batch) not in self._ghosts)
                 for items, batch in zip(counts, batch_samples, strict=True) if items is not None]
        if len(found) < len(counts):
            return None
        total: Tensor = torch.stack(found).sum().to(device)
        if self.args.world_size == 1:
            return total
        if not self.args.average_tokens_across_devices:  # each rank's own mean counts the same
            return total.clamp(min=1) * int(self.args.world_size)
        return self.ranks.sum(total)  # type: ignore[no-any-return]

    def _prepare_input(self, data: Any) -> Any:
        device = self._device
        if torch.is_tensor(data):
            return data.to(device, non_blocking=True)
        if isinstance(data, Mapping):
            moved = {name: self._prepare_input(part) for name, part in data.items()}
            return moved if type(data) is dict else type(data)(moved)  # type: ignore[call-arg]
        if isinstance(data, (list, tuple)):
            return type(data)(self._prepare_input(part) for part in data)
        return data

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        """The batch on the device."""
        if not len(inputs):
            raise InputError("a batch holds nothing that the model takes; expected some of "
                             f"{self._signature_columns}. Do: look at what the data collator gives")
        return self._prepare_input(inputs)  # type: ignore[no-any-return]

    def _outputs(self, model: nn.Module, inputs: Batch) -> Any:
        """The model's outputs, without a cache that nobody reads."""
        if "use_cache" in (self._signature_columns or ()) and "past_key_values" not in inputs \
                and not getattr(self.args, "use_cache", False):
            inputs = {"use_cache": False, **inputs}
        return model(**inputs)

    # ---- scales ----------------------------------------------------------------------------------
    def _part_of_step(self, model: nn.Module, inputs: Batch, items: Tensor | int | None) -> Tensor:
        """What `compute_loss` says, as the batch's part of the loss of the step."""
        own = count(inputs, self.label_names, self._shifts) if isinstance(inputs, Mapping) else None
        function, self._scaled = self.compute_loss, False
        if accepts(function, "num_items_in_batch"):
            loss = function(model, inputs, num_items_in_batch=items)
        else:  # an override in the older signature
            loss = function(model, inputs)
        overridden = getattr(function, "__func__", None) is not Steps.compute_loss
        scaled = self._scaled or (overridden and items is not None
                                  and _divides(function, "num_items_in_batch"))
        if self.loss_is_scaled_for_ga is not None:
            scaled = self.loss_is_scaled_for_ga
        if scaled:
            return loss  # type: ignore[no-any-return]
        if own is not None and items is not None:
            return loss * (own / items)  # type: ignore[no-any-return]
        return loss / (self.current_gradient_accumulation_steps  # type: ignore[no-any-return]
                       * self.args.world_size)

    def _scale(self, loss: Tensor, outputs: Any, own: Tensor | None,
               items: Tensor | int | None) -> Tensor:
        """A mean over `own` items as a part of the mean over `items`."""
        if not self._takes_items and own is not None and own == 0:
            loss = _nothing(outputs)  # a mean over no item is not a number
        if own is None or items is None:
            return loss
        self._scaled = True
        return loss * (own / items)

    def _custom(self, function: Any, outputs: Any, labels: Tensor | None,
                items: Tensor | int | None) -> Tensor:
        if not accepts(function, "num_items_in_batch"):
            return function(outputs, labels)  # type: ignore[no-any-return]
        self._scaled = items is not None and reads(function, "num_items_in_batch")
        return function(outputs, labels, num_items_in_batch=items)  # type: ignore[no-any-return]

    def _without_labels(self, inputs: Batch) -> tuple[Batch, Tensor]:
        labels = inputs["labels"]
        rest = {name: value for name, value in inputs.items() if name != "labels"}
        shift = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if shift is not None and "decoder_input_ids" not in rest:
            rest["decoder_input_ids"] = shift(labels=labels)
        return rest, labels


def _divides(function: Any, name: str) -> bool:
    """Whether an override uses the number of items, and not just to hand it to super()."""
    return reads(function, name) and "super" not in getattr(
        getattr(function, "__code__", None), "co_names", ())


def _loss_of(outputs: Any, inputs: Mapping[str, Any], left_out: tuple[str, ...]) -> Tensor:
    if isinstance(outputs, Mapping):
        if outputs.get("loss") is None:
            names = [name for name in inputs if name != "num_items_in_batch"]
            others = f" The data's {list(left_out)} went unused: is one of these the labels, " \
                f"rename_column({left_out[0]!r}, 'labels')?" if left_out else ""
            raise InputError(f"the model returned no loss, only {list(outputs)}, for the inputs "
                             f"{names}. Do: give labels in the data (args.label_names says "
                             f"what they are called), or override Trainer.compute_loss.{others}")
        return outputs["loss"]  # type: ignore[no-any-return]
    loss: Tensor = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
    return loss


def _nothing(outputs: Any) -> Tensor:
    """0, with gradients of 0 for all that made the outputs."""
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    scores = [part for part in parts if torch.is_tensor(part) and part.requires_grad
              and part.dim() > 0]
    return sum((part.float().sum() * 0 for part in scores), torch.zeros(()))


class LabelSmoother:
    """Cross-entropy with a part `epsilon` of each label spread over all classes."""

    def __init__(self, epsilon: float = 0.1, ignore_index: int = -100) -> None:
        self.epsilon, self.ignore_index = epsilon, ignore_index

    def __call__(self, model_output: Any, labels: Tensor, shift_labels: bool = False,
                 num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """The loss of logits [.., C] against labels [..]: a mean, or the sum / items."""
        logits = model_output["logits"] if isinstance(model_output, Mapping) else model_output[0]
        if shift_labels:
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        loss = nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1),
            ignore_index=self.ignore_index, label_smoothing=self.epsilon, reduction="sum")
        counted = labels.ne(self.ignore_index).sum().clamp(min=1)
        return loss / (counted if num_items_in_batch is None else num_items_in_batch)
