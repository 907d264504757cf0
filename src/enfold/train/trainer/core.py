"""What the parts of the Trainer share: its attributes, and the hooks that find each other here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Batch = dict[str, Any]


class Core:
    """The attributes of a Trainer."""

    args: Any
    model: Any
    model_wrapped: Any  # as it is called in a training step: compiled, parallel
    ranks: Any
    precision: Any
    train_dataset: Any
    eval_dataset: Any
    processing_class: Any
    data_collator: Callable[[list[Any]], Any]
    model_init: Callable[..., nn.Module] | None
    compute_loss_func: Callable[..., Tensor] | None
    compute_metrics: Callable[..., dict[str, float]] | None
    preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None
    optimizer: Any
    lr_scheduler: Any
    optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None
    callback_handler: Any
    state: Any
    control: Any
    label_names: list[str]
    label_smoother: Any
    is_in_train: bool
    loss_is_scaled_for_ga: bool | None = None
    place_model_on_device: bool
    current_gradient_accumulation_steps: int
    _train_batch_size: int
    _signature_columns: list[str] | None
    _left_out: tuple[str, ...] = ()  # columns of the training data
    _shifts: bool
    _takes_items: bool
    _scaled: bool
    _created_lr_scheduler: bool
    _device: torch.device  # where inputs go
    _feed: Any  # the loader being trained on, where it knows its place
    _ghosts: set[int]  # batches of the step that must not count, by id

    def is_world_process_zero(self) -> bool:
        """Whether this process is the first of all machines."""
        return bool(self.args.process_index == 0)

    def is_local_process_zero(self) -> bool:
        """Whether this process is the first of its machine."""
        return bool(self.args.local_process_index == 0)

    def call(self, event: str, **given: Any) -> None:
        """Let the callbacks know, and take what they decide."""
        answer = getattr(self.callback_handler, event)(self.args, self.state, self.control, **given)
        self.control = self.control if answer is None else answer

    def _report_trial(self, metrics: dict[str, float]) -> None:
        """Tell a search of an evaluation; `Search` says how."""

    def _tell(self, text: str) -> None:
        """Say something to who looks on."""
        raise NotImplementedError("Trainer._tell")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the callbacks, and keep in `state.log_history`, numbers of this step."""
        raise NotImplementedError("Trainer.log")

    def push_to_hub(self, commit_message: str | None = "End of training", **kwargs: Any) -> Any:
        """Upload the model."""
        raise NotImplementedError("Trainer.push_to_hub")

    def _place(self) -> None:
        """Have the model on the device, unless somebody has placed it."""
        raise NotImplementedError("Trainer._place")

    def _weights_to_evaluate(self) -> None:
        """Have a schedule-free optimizer put its averages in, which are what it has learnt."""
        if callable(getattr(self.optimizer, "eval", None)):
            self.optimizer.eval()
