"""Events of a run, and who is told of them.

    on_init_end
    on_train_begin
    ┌ on_epoch_begin
    │ ┌ on_step_begin
    │ │ ┌ on_substep_end               after each batch of the step but the last
    │ │ └ on_pre_optimizer_step        gradients are there, and clipped
    │ │   on_optimizer_step            weights are new, gradients still there
    │ │   on_step_end
    │ └   on_log, on_evaluate, on_save     as the control says
    └ on_epoch_end                         and these again
    on_train_end

and outside of it on_prediction_step after each batch of an evaluation, on_predict, on_push_begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from logging import getLogger
from typing import TYPE_CHECKING, Any

from enfold.errors import InputError

if TYPE_CHECKING:
    from enfold.train.callbacks.state import TrainerControl, TrainerState

_log = getLogger(__name__)


class TrainerCallback:
    """Inherit it, and override the events to be told of; each may change `control` and return it.

    args, state, control are positional.  As keywords come model, processing_class, optimizer,
    lr_scheduler, train_dataloader and eval_dataloader, `logs` in on_log, and `metrics` in
    on_evaluate and on_predict; take the ones you need, and **kwargs.
    """

    def on_init_end(self, args: Any, state: TrainerState, control: TrainerControl,
                    **kwargs: Any) -> TrainerControl | None:
        """The Trainer is built."""

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       **kwargs: Any) -> TrainerControl | None:
        """Training begins."""

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> TrainerControl | None:
        """Training is over."""

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       **kwargs: Any) -> TrainerControl | None:
        """An epoch begins."""

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> TrainerControl | None:
        """An epoch is over."""

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                      **kwargs: Any) -> TrainerControl | None:
        """A step begins, of one batch or several."""

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl,
                              **kwargs: Any) -> TrainerControl | None:
        """Gradients are there and clipped; the weights change next."""

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl,
                          **kwargs: Any) -> TrainerControl | None:
        """The weights have changed; gradients are still there."""

    def on_substep_end(self, args: Any, state: TrainerState, control: TrainerControl,
                       **kwargs: Any) -> TrainerControl | None:
        """A batch is done, and the step goes on."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl,
                    **kwargs: Any) -> TrainerControl | None:
        """A step is done."""

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl,
                    **kwargs: Any) -> TrainerControl | None:
        """An evaluation is done; `metrics` has its results."""

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl,
                   metrics: Any, **kwargs: Any) -> TrainerControl | None:
        """`Trainer.predict` is done."""

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl,
                **kwargs: Any) -> TrainerControl | None:
        """A checkpoint is written."""

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl,
               **kwargs: Any) -> TrainerControl | None:
        """`logs` are to be shown; `state.log_history` has them already."""

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl,
                           **kwargs: Any) -> TrainerControl | None:
        """A batch of an evaluation or a prediction is done."""

    def on_push_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                      **kwargs: Any) -> TrainerControl | None:
        """An upload begins."""


EVENTS = tuple(name for name in vars(TrainerCallback) if name.startswith("on_"))
# What an event takes back before the callbacks hear of it.
ENDS = {"on_train_begin": ("should_training_stop",), "on_epoch_begin": ("should_epoch_stop",),
        "on_step_begin": ("should_log", "should_evaluate", "should_save"),
        "on_evaluate": ("should_evaluate",), "on_save": ("should_save",),
        "on_log": ("should_log",)}
# What an event takes as its fourth argument.
FOURTH = {"on_evaluate": "metrics", "on_predict": "metrics", "on_log": "logs"}


def _event(name: str) -> Callable[..., TrainerControl]:
    def call(self: CallbackHandler, args: Any, state: TrainerState, control: TrainerControl,
             *fourth: Any, **kwargs: Any) -> TrainerControl:
        for flag in ENDS.get(name, ()):
            setattr(control, flag, False)
        given = {FOURTH[name]: fourth[0]} if fourth else {}
        return self.call_event(name, args, state, control, **given, **kwargs)

    call.__name__, call.__doc__ = name, getattr(TrainerCallback, name).__doc__
    return call


class CallbackHandler(TrainerCallback):
    """Tells callbacks, in their order, of each event; returns the control that the last one gave.

    Its attributes model, processing_class, optimizer, lr_scheduler, train_dataloader and
    eval_dataloader are what callbacks get.
    """

    on_init_end = _event("on_init_end")
    on_train_begin = _event("on_train_begin")
    on_train_end = _event("on_train_end")
    on_epoch_begin = _event("on_epoch_begin")
    on_epoch_end = _event("on_epoch_end")
    on_step_begin = _event("on_step_begin")
    on_pre_optimizer_step = _event("on_pre_optimizer_step")
    on_optimizer_step = _event("on_optimizer_step")
    on_substep_end = _event("on_substep_end")
    on_step_end = _event("on_step_end")
    on_evaluate = _event("on_evaluate")
    on_predict = _event("on_predict")
    on_save = _event("on_save")
    on_log = _event("on_log")
    on_prediction_step = _event("on_prediction_step")
    on_push_begin = _event("on_push_begin")

    def __init__(self, callbacks: Iterable[Any], model: Any, processing_class: Any, optimizer: Any,
                 lr_scheduler: Any) -> None:
        self.callbacks: list[Any] = []
        self.model, self.processing_class = model, processing_class
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.train_dataloader: Any = None
        self.eval_dataloader: Any = None
        for callback in callbacks:
            self.add_callback(callback)
        from enfold.train.callbacks.flow import DefaultFlowCallback  # which needs this module

        if not any(isinstance(one, DefaultFlowCallback) for one in self.callbacks):
            _log.warning("no callback decides when to log, evaluate and save. Do: "
                         "trainer.add_callback(DefaultFlowCallback); there are: %s",
                         self.callback_list)

    def add_callback(self, callback: Any) -> None:
        """Add a callback, or a class to make one of."""
        added = callback() if isinstance(callback, type) else callback
        missing = [name for name in EVENTS if not callable(getattr(added, name, None))]
        if missing:
            raise InputError(f"a callback of class {type(added).__name__} has no {missing[0]}, "
                             "expected a TrainerCallback. Do: let its class inherit "
                             "TrainerCallback")
        if any(type(one) is type(added) for one in self.callbacks):
            _log.warning("there are two callbacks of class %s now", type(added).__name__)
        self.callbacks.append(added)

    def pop_callback(self, callback: Any) -> Any:
        """Take out a callback, or the first one of a class, and return it; None if not there."""
        found = self._find(callback)
        if found is not None:
            self.callbacks.remove(found)
        return found

    def remove_callback(self, callback: Any) -> None:
        """Take out a callback, or the first one of a class if there is one."""
        found = self._find(callback)
        if found is not None:
            self.callbacks.remove(found)
        elif not isinstance(callback, type):
            raise InputError(f"remove_callback: got a {type(callback).__name__} that is not among "
                             f"the callbacks: {self.callback_list}. Do: give it, or its class")

    def _find(self, callback: Any) -> Any:
        if isinstance(callback, type):
            return next((one for one in self.callbacks if isinstance(one, callback)), None)
        return next((one for one in self.callbacks if one == callback), None)

    @property
    def callback_list(self) -> str:
        """The class names, a line each."""
        return "\n".join(type(one).__name__ for one in self.callbacks)

    def call_event(self, event: str, args: Any, state: TrainerState, control: TrainerControl,
                   **kwargs: Any) -> TrainerControl:
        """Tell every callback."""
        for callback in list(self.callbacks):
            answer = getattr(callback, event)(
                args, state, control, model=self.model, processing_class=self.processing_class,
                optimizer=self.optimizer, lr_scheduler=self.lr_scheduler,
                train_dataloader=self.train_dataloader, eval_dataloader=self.eval_dataloader,
                **kwargs)
            control = control if answer is None else answer
        return control
