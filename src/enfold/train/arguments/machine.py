"""Arguments of where it runs and how data get there: loaders, devices, several processes."""

# ruff: noqa: RUF009 - `arg` is dataclasses.field with a line of help
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enfold.train.arguments.feedback import FeedbackFields
from enfold.train.arguments.field import arg
from enfold.train.arguments.names import DebugOption


@dataclass
class MachineFields(FeedbackFields):
    """The third group of TrainingArguments."""

    dataloader_drop_last: bool = arg(False, "Leave out a last batch that is not full.")
    dataloader_num_workers: int = arg(0, "Processes that load data; 0: the main process does.")
    dataloader_pin_memory: bool = arg(True, "Load into pinned memory (with a GPU).")
    dataloader_persistent_workers: bool = arg(False, "Keep the workers from epoch to epoch.")
    dataloader_prefetch_factor: int | None = arg(None, "Batches each worker loads ahead.")
    dataloader_multiprocessing_context: str | None = arg(
        None, "How workers start: fork, spawn or forkserver (default: torch's)."
    )
    dataloader_in_order: bool = arg(True, "Batches in order, not as soon as they are ready.")
    remove_unused_columns: bool = arg(True, "Drop columns that the model does not take.")
    train_sampling_strategy: str = arg(
        "random", "Order of training rows: random, sequential or group_by_length."
    )
    max_tokens_per_batch: int | None = arg(
        None,
        "Tokens of a training batch on each device, padding included, in place of a number of "
        "rows; rows of similar length come together. (enfold's own.)",
    )
    length_column_name: str = arg("length", "The column of lengths, where batches go by length.")
    ignore_data_skip: bool = arg(False, "On resuming, start the epoch's data anew.")

    use_cpu: bool = arg(False, "Run on the CPU though there is a GPU.")
    local_rank: int = arg(-1, "The rank on this machine; torchrun sets it.")
    ddp_backend: str | None = arg(None, "nccl or gloo (default: by device).")
    ddp_timeout: int = arg(1800, "Seconds that a process waits for the others.")
    ddp_find_unused_parameters: bool | None = arg(None, "DDP's argument.")
    ddp_bucket_cap_mb: int | None = arg(None, "DDP's argument.")
    ddp_broadcast_buffers: bool | None = arg(None, "DDP's argument.")
    ddp_static_graph: bool | None = arg(None, "DDP's argument.")
    fsdp: str | None = arg(
        None, "Shard the model: full_shard, shard_grad_op, offload, ...", nargs="?", const=True
    )
    fsdp_config: dict[str, Any] | str | None = arg(None, "Settings of FSDP: a dict or JSON file.")
    accelerator_config: dict[str, Any] | str | None = arg(None, "Settings of accelerate.")
    parallelism_config: Any | None = arg(None, "accelerate's ParallelismConfig.")
    deepspeed: dict[str, Any] | str | None = arg(None, "DeepSpeed's configuration.")
    debug: str | list[DebugOption] = arg("", "Debugging aids.")
    skip_memory_metrics: bool = arg(True, "No report of memory in the metrics.")
