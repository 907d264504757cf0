"""Trainer: the loop, evaluation and checkpoints, under the names of transformers.

    trainer = Trainer(model, TrainingArguments("out"), train_dataset=ds, processing_class=tokenizer)
    trainer.train()
    trainer.save_model()

The parts, each a class that this one inherits: `batches` (data), `steps` (losses), `optimizing`,
`loop`, `evaluating`, `saving`, `hub`, `search`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from logging import getLogger
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import CheckpointError, ConfigError, unknown_arguments
from enfold.settings import set_seed
from enfold.train.optim.quick import compiler_later
from enfold.train.trainer import counting, hub, memory, metrics, search
from enfold.train.trainer.batches import has_length
from enfold.train.trainer.ends import leave
from enfold.train.trainer.loop import Loop
from enfold.train.trainer.noise import Noise
from enfold.train.trainer.outputs import TrainOutput
from enfold.train.trainer.plan import Plan
from enfold.train.trainer.precision import Precision
from enfold.train.trainer.resuming import Progress
from enfold.train.trainer.steps import LabelSmoother
from enfold.train.trainer.trained import check_trained

_log = getLogger(__name__)


class Trainer(search.Search, Loop, hub.Hub, metrics.Metrics):
    """Trains a model of enfold, or any Module whose forward returns a loss.

    model: left where it is if it was placed (device_map, `.to("cuda")`).  args:
    `TrainingArguments`.  train_dataset, eval_dataset: anything with rows by number, or a stream;
    eval_dataset also a dict of several.  processing_class (or `tokenizer`): pads batches and is
    saved with the model.  compute_loss_func(outputs, labels, num_items_in_batch=): a loss.
    compute_metrics(EvalPrediction): a dict of numbers.  preprocess_logits_for_metrics(logits,
    labels): what is kept of the logits.  optimizers: (optimizer, schedule), each may be None.
    model_init: makes the model anew for each `train()`.

    `allow_16bit_weights`: train weights that are float16 or bfloat16 as they are.
    """

    allow_16bit_weights: bool = False

    def __init__(self, model: Any = None, args: Any = None,
                 data_collator: Callable[[list[Any]], Any] | None = None,
                 train_dataset: Any = None, eval_dataset: Any = None,
                 processing_class: Any = None, model_init: Callable[..., Any] | None = None,
                 compute_loss_func: Callable[..., Tensor] | None = None,
                 compute_metrics: Callable[..., dict[str, float]] | None = None,
                 callbacks: list[Any] | None = None,
                 optimizers: tuple[Any, Any] = (None, None),
                 optimizer_cls_and_kwargs: tuple[Any, dict[str, Any]] | None = None,
                 preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
                 *, tokenizer: Any = None) -> None:
        from enfold.train.arguments import TrainingArguments
        from enfold.train.parallel import Ranks

        self.args = args = TrainingArguments("tmp_trainer") if args is None else args
        set_seed(args.seed, deterministic=args.full_determinism)
        if (args.log_level if args.should_log else args.log_level_replica) != "passive":
            getLogger("enfold").setLevel(args.get_process_log_level())
        self.processing_class = _one_of(processing_class, tokenizer)
        self.model_init = model_init
        self.model = self._first_model(model, model_init)
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.optimizer, self.lr_scheduler = optimizers
        self.optimizer_cls_and_kwargs = optimizer_cls_and_kwargs
        self.ranks, self.precision = Ranks(args), Precision(args)
        self.data_collator = data_collator or self._default_collator()
        self.progress = Progress()
        self._begin_fields()
        self._look_at_model()
        self._check()
        self._begin_callbacks(callbacks)
        if args.should_save:
            os.makedirs(args.output_dir, exist_ok=True)
        if args.push_to_hub:
            self.init_hf_repo()
        self.call("on_init_end")

    # ---- what there is to train ------------------------------------------------------------------
    def _first_model(self, model: Any, model_init: Any) -> Any:
        if (model is None) == (model_init is None):
            raise ConfigError(f"Trainer got {'neither' if model is None else 'both'} model and "
                              "model_init, expected one of them")
        if isinstance(model, (str, os.PathLike)):
            raise ConfigError(f"Trainer got model={str(model)!r}, expected a model. Do: load it, "
                              f"AutoModelForSequenceClassification.from_pretrained({str(model)!r})")
        return model if model is not None else self.call_model_init()

    def call_model_init(self, trial: Any = None) -> Any:
        """A new model of `model_init`, given the trial if it takes one."""
        import inspect

        make: Any = self.model_init
        model = make(trial) if inspect.signature(make).parameters else make()
        if model is None:
            raise ConfigError("model_init returned None, expected a model. Do: return it")
        return model

    def _begin_fields(self) -> None:
        self.is_in_train = False
        self._train_batch_size = self.args.train_batch_size
        self._eval_dataloaders, self._signature_columns = {}, None
        self._created_lr_scheduler, self._scaled = False, False
        self._feed, self._ghosts = None, set()
        self._device = torch.device(self.args.device)
        self.current_gradient_accumulation_steps = self.args.gradient_accumulation_steps
        self.hp_search_backend = self.hp_name = self._trial = None

    def _look_at_model(self) -> None:
        """Learn the model's arguments: after each new one."""
        model, args = self.model, self.args
        self.model_wrapped, self._weights = model, None
        self.label_names = counting.label_names(model) if args.label_names is None \
            else list(args.label_names)
        self._shifts, self._takes_items = counting.shifts(model), counting.takes_items(model)
        self._signature_columns = None
        self._set_signature_columns_if_needed()
        self.can_return_loss = counting.returns_loss(model)
        smoothing = args.label_smoothing_factor
        self.label_smoother = LabelSmoother(smoothing) if smoothing else None

    def _default_collator(self) -> Callable[[list[Any]], Any]:
        from enfold.train.collate import DataCollatorWithPadding, default_data_collator

        if hasattr(self.processing_class, "pad"):
            return DataCollatorWithPadding(self.processing_class)
        return default_data_collator

    def _check(self) -> None:
        args = self.args
        if self.model_init is not None and (self.optimizer is not None
                                            or self.lr_scheduler is not None):
            raise ConfigError("Trainer got model_init and optimizers, which would be of another "
                              "model. Do: leave optimizers out, and override create_optimizer")
        if self.optimizer is not None and self.optimizer_cls_and_kwargs is not None:
            raise ConfigError("Trainer got optimizers and optimizer_cls_and_kwargs, expected one")
        if _value(args.eval_strategy) != "no" and self.eval_dataset is None:
            raise ConfigError(f"eval_strategy is {_value(args.eval_strategy)!r}, but there is no "
                              "eval_dataset. Do: Trainer(..., eval_dataset=...), or "
                              "eval_strategy='no'")
        if args.batch_eval_metrics and self.compute_metrics is not None \
                and not counting.accepts(self.compute_metrics, "compute_result"):
            raise ConfigError("batch_eval_metrics=True calls compute_metrics for each batch, and "
                              "it has no argument compute_result, which is True for the last. Do: "
                              "def compute_metrics(prediction, compute_result): ...")
        if self.train_dataset is not None and not has_length(self.train_dataset) \
                and args.max_steps <= 0:
            raise ConfigError("the training data has no length, and max_steps is "
                              f"{args.max_steps}. Do: TrainingArguments(max_steps=...)")

    # ---- callbacks -------------------------------------------------------------------------------
    def _begin_callbacks(self, callbacks: list[Any] | None) -> None:
        from enfold.data.executor.progress import are_progress_bars_disabled
        from enfold.train import callbacks as those

        quiet = self.args.disable_tqdm or are_progress_bars_disabled()
        shown = those.PrinterCallback if quiet else those.ProgressCallback
        every = [those.DefaultFlowCallback,
                 *those.get_reporting_integration_callbacks(self.args.report_to),
                 *(callbacks or ())]
        self.callback_handler = those.CallbackHandler(
            every, self.model, self.processing_class, self.optimizer, self.lr_scheduler)
        self.add_callback(shown)
        self.control = those.TrainerControl()
        self.state = those.TrainerState(is_local_process_zero=self.is_local_process_zero(),
                                        is_world_process_zero=self.is_world_process_zero())

    def add_callback(self, callback: Any) -> None:
        """Have a callback, or one of a class, told of events."""
        self.callback_handler.add_callback(callback)

    def pop_callback(self, callback: Any) -> Any:
        """Take a callback, or the first of a class, out and return it."""
        return self.callback_handler.pop_callback(callback)

    def remove_callback(self, callback: Any) -> None:
        """Take a callback, or the first of a class, out."""
        self.callback_handler.remove_callback(callback)

    def _tell(self, text: str) -> None:
        """Above the bar, or as a line where logs are lines."""
        from enfold.train.callbacks import PrinterCallback, ProgressCallback

        _log.info("%s", text)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, (PrinterCallback, ProgressCallback)) \
                    and self.is_world_process_zero():
                callback.tell(text)

    def _close_bars(self) -> None:
        from enfold.train.callbacks import ProgressCallback

        for callback in self.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback):
                callback.close()

    # ---- training --------------------------------------------------------------------------------
    def train(self, resume_from_checkpoint: str | os.PathLike[str] | bool | None = None,
              trial: Any = None, ignore_keys_for_eval: list[str] | None = None,
              **older: Any) -> TrainOutput:
        """Train to the end; from a checkpoint, as if the run had not been interrupted.

        resume_from_checkpoint: a folder, or True for the last one in `args.output_dir`.
        """
        resume_from_checkpoint = older.pop("model_path", resume_from_checkpoint)
        if older:
            raise unknown_arguments("Trainer.train", older, ("resume_from_checkpoint", "trial",
                                                             "ignore_keys_for_eval"))
        self.is_in_train = True
        try:
            if self.model_init is not None:
                self._renew(trial)
            self._hp_search_setup(trial)
            checkpoint = self._checkpoint(resume_from_checkpoint)
            self._place()
            if checkpoint is not None:
                self._load_from_checkpoint(checkpoint)
            with Noise(self.model, self.args.neftune_noise_alpha):
                return memory.fitting(self, checkpoint, trial, ignore_keys_for_eval)
        except BaseException as error:  # Ctrl-C too
            leave(self, error)
            raise
        finally:
            self.is_in_train = False

    def _renew(self, trial: Any) -> None:
        set_seed(self.args.seed, deterministic=self.args.full_determinism)
        self.model = self.call_model_init(trial)
        self.optimizer = self.lr_scheduler = None
        self._look_at_model()

    def _checkpoint(self, asked: Any) -> str | None:
        from enfold.train.checkpoint import get_last_checkpoint

        if asked is None or asked is False:
            return None
        if asked is not True:
            return str(os.fspath(asked))
        last = get_last_checkpoint(self.args.output_dir)
        if last is None:
            raise CheckpointError(f"resume_from_checkpoint=True, but {self.args.output_dir} has no "
                                  "folder checkpoint-<step>. Do: name one, or train from the start")
        return str(last)

    def _place(self) -> None:
        """Have the model on the device, unless somebody has placed it: then stay with it."""
        homes = {parameter.device for parameter in self.model.parameters()}
        target, asked = torch.device(self.args.device), self.args.place_model_on_device
        placed = getattr(self.model, "hf_device_map", None) is not None or \
            any(home.type not in ("cpu", "meta") for home in homes)
        if (not placed if asked is None else asked) and homes - {target}:
            self.model.to(target)
            self._device = target
        elif placed:
            self._device = next(home for home in homes if home.type not in ("cpu", "meta")) \
                if homes - {torch.device("cpu")} else target

    def _prepare(self, plan: Plan) -> None:
        """Have model, optimizer and schedule ready for the first step."""
        args, model = self.args, self.model
        check_trained(model)
        changed = self.precision.masters(model, self.allow_16bit_weights)
        if changed:
            _log.info("%d weights are kept in float32 while they are trained", len(changed))
        if args.activation_checkpointing:
            _recompute(model, args.activation_checkpointing_kwargs)
        if self._created_lr_scheduler:
            self.lr_scheduler, self._created_lr_scheduler = None, False
        if args.torch_compile:
            model = torch.compile(model, backend=args.torch_compile_backend or "inductor",
                                  mode=args.torch_compile_mode)
        else:
            compiler_later()
        self.model_wrapped = self.ranks.wrap(model)
        self.create_optimizer_and_scheduler(plan.steps)


def _recompute(model: nn.Module, options: Mapping[str, Any] | None) -> None:
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise NotImplementedError(
            f"gradient_checkpointing=True: {type(model).__name__} has no "
            "gradient_checkpointing_enable(). Do: leave it out, or give the model that method, "
            "which has its blocks run under torch.utils.checkpoint")
    enable(gradient_checkpointing_kwargs=dict(options) if options else None)


def _one_of(processing_class: Any, tokenizer: Any) -> Any:
    if processing_class is not None and tokenizer is not None:
        raise ConfigError("Trainer got processing_class and tokenizer, which are one thing. Do: "
                          "give processing_class")
    return tokenizer if processing_class is None else processing_class


def _value(setting: Any) -> str:
    return str(getattr(setting, "value", setting))
