"""From what was given to what is meant: words to enums, defaults that follow from others, checks.

Every function takes the arguments and changes them in place; `prepare` is the order.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from enfold.errors import InputError
from enfold.train.arguments.feedback import LOG_LEVELS
from enfold.train.arguments.limits import check_limits
from enfold.train.arguments.names import (
    DebugOption,
    FSDPOption,
    HubStrategy,
    IntervalStrategy,
    OptimizerNames,
    SaveStrategy,
    SchedulerType,
)
from enfold.train.arguments.older import adopt_redeclared

if TYPE_CHECKING:
    from enfold.train.arguments.place import Place

DICTS = (
    "accelerator_config", "fsdp_config", "deepspeed", "activation_checkpointing_kwargs",
    "lr_scheduler_kwargs",
)  # fmt: skip
ENUMS: dict[str, Callable[[Any], Any]] = {
    "eval_strategy": IntervalStrategy,
    "logging_strategy": IntervalStrategy,
    "save_strategy": SaveStrategy,
    "hub_strategy": HubStrategy,
    "lr_scheduler_type": SchedulerType,
    "optim": OptimizerNames,
}
CHOICES = {
    "train_sampling_strategy": ("random", "sequential", "group_by_length"),
    "include_num_input_tokens_seen": ("all", "non_padding", "no"),
    "log_level": tuple(LOG_LEVELS),
    "log_level_replica": tuple(LOG_LEVELS),
    "dataloader_multiprocessing_context": (None, "fork", "spawn", "forkserver"),
}
AT_LEAST = {
    "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1, "num_train_epochs": 0,
    "gradient_accumulation_steps": 1, "learning_rate": 0, "warmup_steps": 0, "max_grad_norm": 0,
    "torch_empty_cache_steps": 1, "save_total_limit": 1, "eval_accumulation_steps": 1,
    "max_tokens_per_batch": 1,
    "dataloader_num_workers": 0, "dataloader_prefetch_factor": 1, "label_smoothing_factor": 0,
}  # fmt: skip
ACCELERATE = {  # what accelerate's settings have to be, as enfold does nothing else
    "split_batches": False, "dispatch_batches": None, "even_batches": True,
    "use_seedable_sampler": True, "non_blocking": False, "gradient_accumulation_kwargs": None,
    "use_configured_state": False,
}  # fmt: skip


def prepare(args: Place) -> None:
    """Complete and check `args`; InputError or NotImplementedError say what can't be meant."""
    adopt_redeclared(args)
    _read_words(args)
    _fill(args)
    _check_values(args)
    _check_intervals(args)
    _check_together(args)
    _check_accelerate(args)
    check_limits(type(args).__name__, vars(args))
    _set_tf32(args)


def bad(args: Place, got: str, expected: str) -> InputError:
    """The error for an argument that can't be used."""
    return InputError(f"{type(args).__name__}: got {got}; {expected}")


def _read_words(args: Place) -> None:
    for name in DICTS:
        setattr(args, name, _as_dict(args, name))
    for name, enum in ENUMS.items():
        setattr(args, name, enum(getattr(args, name)))
    if isinstance(args.debug, str):
        args.debug = [DebugOption(word) for word in args.debug.split()]
    if isinstance(args.include_num_input_tokens_seen, bool):
        args.include_num_input_tokens_seen = "all" if args.include_num_input_tokens_seen else "no"
    if isinstance(args.fsdp_config, dict):
        args.fsdp_config = {k.removeprefix("fsdp_"): v for k, v in args.fsdp_config.items()}
    if isinstance(args.fsdp, (str, list)):
        words = args.fsdp.split() if isinstance(args.fsdp, str) else args.fsdp
        args.fsdp = [FSDPOption(word) for word in words] or None  # type: ignore[assignment]


def _as_dict(args: Place, name: str) -> Any:
    """A dictionary given as JSON on the command line, or as the path of a JSON file."""
    value = getattr(args, name)
    if not isinstance(value, str):
        return value
    try:
        if not value.lstrip().startswith("{"):
            with open(value, encoding="utf-8") as file:
                return json.load(file)
        return _typed(json.loads(value))
    except (OSError, json.JSONDecodeError) as error:
        raise bad(args, f"{name}={value!r}", f"give a dict or a JSON file ({error})") from error


def _typed(value: Any) -> Any:
    """Words of the command line as what they spell: "true" is True, "3" is 3."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        for kind in (int, float):
            if value.replace(".", "", 1).isdigit():
                try:
                    return kind(value)
                except ValueError:
                    continue
    return value


def _fill(args: Place) -> None:
    args.output_dir = os.path.expanduser(args.output_dir or "trainer_output")
    if args.logging_dir is None:
        run = f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}"
        args.logging_dir = os.path.join(args.output_dir, "runs", run)
    args.logging_dir = os.path.expanduser(args.logging_dir)
    if args.disable_tqdm is None:
        args.disable_tqdm = logging.getLogger("enfold").getEffectiveLevel() > logging.WARNING
    args.activation_checkpointing = bool(args.activation_checkpointing)
    args.do_eval = args.do_eval or args.eval_strategy != IntervalStrategy.NO
    if args.eval_strategy == IntervalStrategy.STEPS and not args.eval_steps:
        args.eval_steps = args.logging_steps
    by_metric = (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY)
    if args.load_best_model_at_end or args.lr_scheduler_type in by_metric:
        args.metric_for_best_model = args.metric_for_best_model or "loss"
    if args.greater_is_better is None and args.metric_for_best_model is not None:
        args.greater_is_better = not args.metric_for_best_model.endswith("loss")
    args.report_to = _reporters(args.report_to)
    if args.torch_compile_mode is not None or args.torch_compile_backend is not None:
        args.torch_compile = True
    if args.torch_compile and args.torch_compile_backend is None:
        args.torch_compile_backend = "inductor"
    if args.use_cpu:
        args.dataloader_pin_memory = False


def _reporters(given: str | list[str] | None) -> list[str]:
    """Names of reporters; `all` stays a word, for the callbacks to say which are installed."""
    if given is None:
        return ["tensorboard"] if find_spec("tensorboard") else []
    names = [given] if isinstance(given, str) else list(given)
    return [] if names == ["none"] else names


def _check_values(args: Place) -> None:
    for name, choices in CHOICES.items():
        if getattr(args, name) not in choices:
            raise bad(args, f"{name}={getattr(args, name)!r}", f"expected one of {choices}")
    for name, least in AT_LEAST.items():
        value = getattr(args, name)
        if value is not None and (isinstance(value, str) or not value >= least):
            raise bad(args, f"{name}={value!r}", f"expected a number of at least {least}")


def _check_intervals(args: Place) -> None:
    """Steps between events: a whole number, or a fraction of all steps."""
    for name in ("logging", "eval", "save"):
        if getattr(args, f"{name}_strategy").value != "steps":
            continue
        steps = getattr(args, f"{name}_steps")
        if steps is None or steps <= 0 or (steps > 1 and steps != int(steps)):
            raise bad(
                args,
                f"{name}_steps={steps!r} with {name}_strategy='steps'",
                "expected a whole number of steps, or a fraction of all steps below 1",
            )
        setattr(args, f"{name}_steps", int(steps) if steps >= 1 else steps)


def _check_together(args: Place) -> None:
    if args.max_tokens_per_batch is not None and args.auto_find_batch_size:
        raise bad(args, "max_tokens_per_batch with auto_find_batch_size=True",
                  "give one of them; a smaller max_tokens_per_batch needs less memory")
    if args.fp16 and args.bf16:
        raise bad(args, "fp16=True and bf16=True", "choose one")
    if args.fp16_full_eval and args.bf16_full_eval:
        raise bad(args, "fp16_full_eval=True and bf16_full_eval=True", "choose one")
    needs = {
        "load_best_model_at_end=True": args.load_best_model_at_end,
        "save_strategy='best'": args.save_strategy == SaveStrategy.BEST,
        f"lr_scheduler_type={SchedulerType(args.lr_scheduler_type).value!r}": args.lr_scheduler_type
        in (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY),
    }
    for what, asked in needs.items():
        if asked and args.eval_strategy == IntervalStrategy.NO and not args.eval_on_start:
            raise bad(
                args,
                f"{what} with eval_strategy='no'",
                "it goes by an evaluation: set eval_strategy to 'steps' or 'epoch'",
            )
    if args.dataloader_num_workers == 0 and args.dataloader_prefetch_factor is not None:
        raise bad(
            args,
            f"dataloader_prefetch_factor={args.dataloader_prefetch_factor}, no loader workers",
            "set dataloader_num_workers to 1 or more",
        )


def _set_tf32(args: Place) -> None:
    """Allow or forbid TF32 products in this process, as `tf32` says."""
    if args.tf32 is None:
        return
    if args.tf32 and args.device.type != "cuda":
        raise bad(args, f"tf32=True on {args.device.type}", "it is for NVIDIA GPUs; leave it out")
    torch.backends.cuda.matmul.allow_tf32 = args.tf32
    torch.backends.cudnn.allow_tf32 = args.tf32


def _check_accelerate(args: Place) -> None:
    config: Any = args.accelerator_config
    if config is None:
        return
    config = config if isinstance(config, dict) else vars(config)
    for name, value in config.items():
        if name not in ACCELERATE:
            known = ", ".join(ACCELERATE)
            raise bad(args, f"accelerator_config[{name!r}]", f"expected one of {known}")
        if value != ACCELERATE[name]:
            raise NotImplementedError(
                f"{type(args).__name__}: accelerator_config[{name!r}]={value!r} is not "
                f"implemented. Leave it out (default: {ACCELERATE[name]!r})"
            )
