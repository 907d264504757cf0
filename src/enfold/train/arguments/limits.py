"""What enfold does not implement, in one table: such an argument raises unless it asks for nothing.

`LIMITS` holds fields, `RETIRED` the names of 4.57 that the dataclass no longer has. Each value of
what is in `HELD` asks for what is so anyway. `SCRIPTS` are for the scripts that read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    "sortish_sampler": Limit((False,), "set train_sampling_strategy='group_by_length'"),
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
    "tpu_num_cores": NO_TPU,
    "tpu_metrics_debug": NO_TPU,
    "_n_gpu": Limit((-1, 0, 1), "start several processes with torchrun"),
}

HELD = {
    "logging_nan_inf_filter": "a loss that is not finite is never averaged: it stops the run",
    "use_mps_device": "an MPS device is used whenever there is one, unless use_cpu=True",
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


def _asks(value: Any, limit: Limit) -> bool:
    """Whether a value asks for anything."""
    return value is not MISSING and not any(value is ok or value == ok for ok in limit.accepted)
