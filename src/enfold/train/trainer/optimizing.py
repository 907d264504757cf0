"""The optimizer, the learning rate and what they are about."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from enfold.train.trainer.core import Core


class Optimizing(Core):
    """The optimizer of a Trainer; override `create_optimizer` and its like."""

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Make `self.optimizer` and `self.lr_scheduler`, where they weren't given."""
        self.create_optimizer()
        self.create_scheduler(num_training_steps=num_training_steps, optimizer=self.optimizer)

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """Make `self.optimizer` as `args.optim` says; biases and norms do not decay."""
        from enfold.train.optim import make_optimizer

        if self.optimizer is not None:
            return self.optimizer
        model = self.model if model is None else model
        groups = self._groups(model)
        if self.optimizer_cls_and_kwargs is not None:
            make, options = self.optimizer_cls_and_kwargs
            self.optimizer = make(groups, **options)
        else:
            self.optimizer = make_optimizer(self.args, groups, model)
        return self.optimizer

    def _groups(self, model: nn.Module) -> list[dict[str, Any]]:
        decaying = set(self.get_decay_parameter_names(model))
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        return [{"params": [p for name, p in trained if name in decaying],
                 "weight_decay": self.args.weight_decay},
                {"params": [p for name, p in trained if name not in decaying],
                 "weight_decay": 0.0}]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make `self.lr_scheduler` as `args.lr_scheduler_type` says."""
        from enfold.train.schedules import get_scheduler

        if self.lr_scheduler is None:
            self.lr_scheduler = get_scheduler(
                self.args.lr_scheduler_type,
                optimizer=self.optimizer if optimizer is None else optimizer,
                num_warmup_steps=self.args.get_warmup_steps(num_training_steps),
                num_training_steps=num_training_steps,
                scheduler_specific_kwargs=self.args.lr_scheduler_kwargs)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """The weights that decay: all but biases and norms."""
        from enfold.train.optim import get_decay_parameter_names

        return get_decay_parameter_names(model)

    @staticmethod
    def get_optimizer_cls_and_kwargs(args: Any, model: nn.Module | None = None
                                     ) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
        """The class and settings of the optimizer that `args.optim` names."""
        from enfold.train.optim.make import get_optimizer_cls_and_kwargs

        return get_optimizer_cls_and_kwargs(args, model)

    # ---- what it is about ------------------------------------------------------------------------
    def get_num_trainable_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def get_learning_rates(self) -> list[float]:
        """The learning rate of each group of parameters."""
        return [group["lr"] for group in self._optimizer().param_groups]

    def get_optimizer_group(self, param: torch.nn.Parameter | None = None) -> Any:
        """The group of a parameter, or the parameters of all groups."""
        groups = self._optimizer().param_groups
        if param is None:
            return [group["params"] for group in groups]
        return next((group for group in groups
                     if any(param is held for held in group["params"])), None)

    def _optimizer(self) -> Any:
        if self.optimizer is None:
            raise ValueError("the Trainer has no optimizer yet. Do: call train(), or "
                             "create_optimizer(), first")
        return self.optimizer

    def _get_learning_rate(self) -> float:
        if self._by_metric():  # which may not have been asked yet
            return float(self.optimizer.param_groups[0]["lr"])
        return float(self.lr_scheduler.get_last_lr()[0])

    def _by_metric(self) -> bool:
        """Whether the schedule goes by a metric of evaluation."""
        from enfold.train.greedy import GreedyLR

        return isinstance(self.lr_scheduler,
                          (torch.optim.lr_scheduler.ReduceLROnPlateau, GreedyLR))
