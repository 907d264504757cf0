"""Ranks: the processes of a run, as torchrun starts them.

    torchrun --nproc-per-node 4 script.py        # the script itself does not change

Each process trains on its part of every batch; gradients are averaged over them.  The model is
whole on each (torch's DistributedDataParallel), or in pieces with `fsdp=` (see `sharding`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from enfold.errors import ConfigError
from enfold.train.parallel.shell import Shell
from enfold.weights.shard.group import meet

DDP_OPTIONS = {"ddp_find_unused_parameters": "find_unused_parameters",
               "ddp_bucket_cap_mb": "bucket_cap_mb", "ddp_broadcast_buffers": "broadcast_buffers",
               "ddp_static_graph": "static_graph"}


class Ranks:
    """The processes of a run.

    args: TrainingArguments, for its ddp_* and fsdp settings.  rank: of this process, from 0;
    world_size: of all of them; sharded: whether the model's weights are in pieces.
    """

    def __init__(self, args: Any) -> None:
        self.args = args
        if int(args.world_size) > 1:
            join(args)
        self.rank, self.world_size = int(args.process_index), int(args.world_size)
        self.main = self.rank == 0
        self.device = torch.device(args.device)
        self.plan = self._plan()
        self.sharded = self.plan is not None and self.world_size > 1
        self._wrapped: tuple[nn.Module, nn.Module] | None = None

    def _plan(self) -> Any:
        if not self.args.fsdp:
            return None
        from enfold.train.parallel import sharding  # FSDP2 takes a while to import

        return sharding.plan(self.args)

    # ---- numbers ---------------------------------------------------------------------------------
    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks."""
        if self.world_size == 1:
            return tensor
        total = tensor.detach().to(self.device, copy=True)
        dist.all_reduce(total)
        return total.to(tensor.device)

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all ranks, of one shape, one below the other; numbers become rows."""
        if self.world_size == 1:
            return tensor
        own = tensor.detach().to(self.device)
        own = (own[None] if own.dim() == 0 else own).contiguous()
        raw = own.to(torch.uint8) if own.dtype == torch.bool else own
        parts = [torch.empty_like(raw) for _ in range(self.world_size)]
        dist.all_gather(parts, raw)
        return torch.cat(parts).to(tensor.device, own.dtype)

    def gather_object(self, value: Any) -> list[Any]:
        """What each rank has, anything that can be pickled."""
        if self.world_size == 1:
            return [value]
        parts = [None] * self.world_size
        dist.all_gather_object(parts, value)
        return parts

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.world_size > 1:
            dist.barrier()

    # ---- the model -------------------------------------------------------------------------------
    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as it is called in a training step; the same for the same model."""
        if self.world_size == 1:
            return model
        if getattr(model, "tp_size", None):
            raise ConfigError("the Trainer gives each process a batch of its own, and this model "
                              "is shared by the processes (tp_plan). Do: load it without tp_plan "
                              "and train with fsdp='full_shard'")
        if self._wrapped is None or self._wrapped[0] is not model:
            wrap = self._in_pieces if self.sharded else self._replicated
            self._wrapped = model, wrap(model)
        return self._wrapped[1]

    def _in_pieces(self, model: nn.Module) -> nn.Module:
        from enfold.train.parallel import sharding

        return sharding.shard(model, self.plan, self.device)

    def _replicated(self, model: nn.Module) -> nn.Module:
        given = {theirs: value for ours, theirs in DDP_OPTIONS.items()
                 if (value := getattr(self.args, ours)) is not None}
        # a head, an expert or a pooler may have no part in a loss; blocks that are recomputed
        # can't be searched for such
        given.setdefault("find_unused_parameters", not self.args.activation_checkpointing)
        where = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(Shell(model), device_ids=where, **given)

    def no_sync(self, model: nn.Module) -> AbstractContextManager[Any]:
        """A context in which gradients are added up on each rank, not exchanged."""
        if isinstance(model, DistributedDataParallel):
            return model.no_sync()
        if not self.sharded:
            return nullcontext()
        from enfold.train.parallel import sharding

        return sharding.no_sync(model)

    @contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
        """A context in which all weights are on each rank, to read and compute with."""
        if self._wrapped is None or self._wrapped[0] is not model or not self.sharded:
            yield
            return
        from enfold.train.parallel import sharding

        with sharding.whole(self._wrapped[1], self.plan):
            yield

    def full_state(self, model: nn.Module) -> dict[str, Tensor]:
        """The whole weights by name, in this machine's memory, on rank 0; nothing on others."""
        from enfold.train.parallel import sharding

        return sharding.full_state(model, self.main)


def join(args: Any) -> None:
    """Meet the other processes at the place that torchrun has set in the environment."""
    device = torch.device(args.device)
    if device.type == "cuda":
        here, there = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
        if here > there:
            raise ConfigError(f"{here} processes on a machine with {there} GPUs; expected one for "
                              f"each GPU at most. Do: torchrun --nproc-per-node {there}, or "
                              "TrainingArguments(use_cpu=True)")
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        meet(args.ddp_backend or ("gloo" if device.type == "cpu" else None),
             timeout=args.ddp_timeout_delta, **_again(args))


def _again(args: Any) -> dict[str, Any]:
    """Where ranks meet that torchrun has started again: its store still holds the addresses of
    those that ended, so this life's stand under a prefix of its own."""
    life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if life == "0" or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return {}
    meet: Any = dist
    store, rank, world_size = next(meet.rendezvous("env://", timeout=args.ddp_timeout_delta))
    return {"store": meet.PrefixStore(f"life {life}", store), "rank": rank,
            "world_size": world_size}
