"""Where this process runs and which of them it is: what torchrun's variables and the GPUs say."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist

from enfold.train.arguments.feedback import LOG_LEVELS
from enfold.train.arguments.machine import MachineFields
from enfold.train.arguments.names import ParallelMode


class Place(MachineFields):
    """Properties of TrainingArguments that depend on the machine, read when asked for."""

    @property
    def device(self) -> torch.device:
        """This process's device: its own GPU, else Apple's, else the CPU."""
        if self.use_cpu:
            return torch.device("cpu")
        if torch.cuda.is_available():
            return torch.device("cuda", self.local_process_index % torch.cuda.device_count())
        if torch.backends.mps.is_available() and self.world_size == 1:
            return torch.device("mps")
        return torch.device("cpu")

    @property
    def n_gpu(self) -> int:
        """GPUs of this process: 1 or 0, as each GPU has a process of its own (torchrun)."""
        return int(self.device.type == "cuda")

    @property
    def world_size(self) -> int:
        """Processes of this run."""
        if dist.is_available() and dist.is_initialized():
            return dist.get_world_size()
        return int(os.environ.get("WORLD_SIZE", 1))

    @property
    def process_index(self) -> int:
        """The number of this process, from 0."""
        if dist.is_available() and dist.is_initialized():
            return dist.get_rank()
        return int(os.environ.get("RANK", 0))

    @property
    def local_process_index(self) -> int:
        """The number of this process on its machine, from 0."""
        return int(os.environ.get("LOCAL_RANK", max(self.local_rank, 0)))

    @property
    def parallel_mode(self) -> ParallelMode:
        """DISTRIBUTED with several processes, otherwise NOT_PARALLEL."""
        return ParallelMode.DISTRIBUTED if self.world_size > 1 else ParallelMode.NOT_PARALLEL

    @property
    def train_batch_size(self) -> int:
        """Examples in a training batch of this process."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """Examples in an evaluation batch of this process."""
        return self.per_device_eval_batch_size

    @property
    def mixed_precision(self) -> str:
        """`fp16`, `bf16` or `no`."""
        return "fp16" if self.fp16 else "bf16" if self.bf16 else "no"

    @property
    def ddp_timeout_delta(self) -> timedelta:
        """How long a process waits for the others."""
        return timedelta(seconds=self.ddp_timeout)

    @property
    def should_log(self) -> bool:
        """Whether this process writes logs."""
        return self._first(self.log_on_each_node)

    @property
    def should_save(self) -> bool:
        """Whether this process writes checkpoints."""
        return self._first(self.save_on_each_node)

    @property
    def place_model_on_device(self) -> bool | None:
        """Override to say whether the Trainer moves the model; None: it decides."""
        return None

    def _first(self, on_each_node: bool) -> bool:
        return (self.local_process_index if on_each_node else self.process_index) == 0

    def get_process_log_level(self) -> int:
        """The level of messages of this process, as in `logging`."""
        level = LOG_LEVELS[self.log_level if self.should_log else self.log_level_replica]
        return logging.getLogger("enfold").getEffectiveLevel() if level == -1 else level

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Steps of warmup in a run of `num_training_steps`."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(num_training_steps * self.warmup_steps)

    @contextlib.contextmanager
    def main_process_first(self, local: bool = True, desc: str = "work") -> Iterator[None]:
        """The block runs in the main process (of each machine if `local`), then in the others."""
        if self.world_size == 1:
            yield
            return
        from enfold.train.parallel import join

        join(self)
        main = self._first(on_each_node=local)
        if not main:
            dist.barrier()
        try:
            yield
        finally:
            if main:
                dist.barrier()
