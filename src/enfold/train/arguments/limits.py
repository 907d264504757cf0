"""What enfold does not implement, in one table: such an argument raises unless it asks for nothing.

`LIMITS` holds fields, `RETIRED` the names of 4.57 that the dataclass no longer has. What `TOLD`
holds changes no result: a warning says so once. `SCRIPTS` are for the scripts that read them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)
MISSING = object()


@dataclass(frozen=True)
class Limit:
    """The values that are accepted because they ask for nothing, and what to do instead."""

    accepted: tuple[Any, ...]
    instead: str


NO_TPU = Limit((None, False, ""), "enfold runs on CPUs and GPUs")
NO_TRACKIO = "report to tensorboard, wandb, mlflow, csv or json"

LIMITS: dict[str, Limit] = {
    "deepspeed": Limit((None,), "shard with fsdp='full_shard', which needs no configuration"),
    "parallelism_config": Limit((None,), "shard with fsdp='full_shard'"),
    "optim_target_modules": Limit((None,), "it is for GaLore and APOLLO only; adapters train few"),
    "use_liger_kernel": Limit((False,), "losses are chunked without it; leave it off"),
    "liger_kernel_config": Limit((None,), "losses are chunked without it; leave it off"),
    "project": Limit(("huggingface",), f"it is for Trackio only; {NO_TRACKIO}"),
    "trackio_space_id": Limit((None, "trackio"), NO_TRACKIO),
    "trackio_bucket_id": Limit((None,), NO_TRACKIO),
    "trackio_static_space_id": Limit((None, False), NO_TRACKIO),
    "enable_jit_checkpoint": Limit((False,), "save often with save_steps; a save is atomic"),
    "debug": Limit(
        ("", [], None), "a loss that is not finite always stops with the module that made it"
    ),
    "skip_memory_metrics": Limit((True,), "the memory estimate before the first step is always on"),
    "eval_use_gather_object": Limit((False,), "outputs of evaluation have to be tensors"),
    "include_tokens_per_second": Limit((False,), "set include_num_input_tokens_seen"),
    "save_safetensors": Limit((True,), "call model.save_pretrained(safe_serialization=False)"),
    "sortish_sampler": Limit((False,), "set train_sampling_strategy='group_by_length'"),
    "hub_strategy": Limit(("every_save", "end"), "call trainer.push_to_hub() where you want it"),
}

RETIRED: dict[str, Limit] = {
    "fp16_backend": Limit(("auto", "amp", "cuda_amp", "cpu_amp"), "torch's autocast is used"),
    "half_precision_backend": Limit(("auto", "cuda_amp", "cpu_amp"), "torch's autocast is used"),
    "fp16_opt_level": Limit(("O1",), "it is for apex only; use fp16=True or bf16=True"),
    "jit_mode_eval": Limit((False,), "use torch_compile=True"),
    "use_legacy_prediction_loop": Limit((False,), "there is one loop; leave it out"),
    "past_index": Limit((-1,), "pass past_key_values in the inputs"),
    "mp_parameters": Limit(("",), "start several processes with torchrun"),
    "ray_scope": Limit(("last",), "hyperparameter search takes each trial's last evaluation"),
    "use_mps_device": Limit((False, True), "an MPS device is used whenever there is one"),
    "tpu_num_cores": NO_TPU,
    "tpu_metrics_debug": NO_TPU,
    "_n_gpu": Limit((-1, 0, 1), "start several processes with torchrun"),
}

TOLD: dict[str, Limit] = {
    "average_tokens_across_devices": Limit((True,), "the loss is always that of one whole batch"),
    "eval_accumulation_steps": Limit((None,), "outputs leave the device after every batch"),
    "logging_nan_inf_filter": Limit((True,), "a loss that is not finite stops the run"),
    "torch_empty_cache_steps": Limit((None,), "torch's allocator is left to itself"),
    "hub_always_push": Limit((False,), "every upload is waited for"),
}

SCRIPTS = ("overwrite_output_dir", "do_train", "do_eval", "do_predict", "resume_from_checkpoint")


def check_limits(owner: str, values: Mapping[str, Any]) -> None:
    """Raise NotImplementedError if one of `values` asks for what enfold does not do."""
    for name, limit in (LIMITS | RETIRED).items():
        value = values.get(name, MISSING)
        if not _asks(value, limit):
            continue
        raise NotImplementedError(
            f"{owner}: {name}={value!r} is not implemented: {limit.instead}. "
            f"Leave {name} out (default: {limit.accepted[0]!r})"
        )


def tell(owner: str, values: Mapping[str, Any]) -> None:
    """Warn, once each, of arguments that have no effect here."""
    for name, limit in TOLD.items():
        value = values.get(name, MISSING)
        if _asks(value, limit):
            _warn_once(f"{owner}: {name}={value!r} has no effect: {limit.instead}")


@cache
def _warn_once(text: str) -> None:
    logger.warning(text)


def _asks(value: Any, limit: Limit) -> bool:
    """Whether a value asks for anything."""
    return value is not MISSING and not any(value is ok or value == ok for ok in limit.accepted)
