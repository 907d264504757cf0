"""Weights in pieces: each rank keeps a part of every tensor, and has it whole only while in use.

torch's FSDP2.  A unit is a block of the model: gathered before its forward and backward pass,
released after.  `fsdp="full_shard"` releases between the two, `shard_grad_op` does not,
`hybrid_shard` has the pieces within each machine and copies of them on every machine, `offload`
keeps pieces in main memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import ConfigError, nearest
from enfold.nn.buckets import RelativeBias
from enfold.train.parallel.shell import Shell

# settings of fsdp_config that FSDP2 has no use for: accepted where they ask for what happens anyway
ANYWAY: dict[str, tuple[Any, ...]] = {
    "version": (2,), "use_orig_params": (True,), "sync_module_states": (True, False),
    "limit_all_gathers": (True, 1), "forward_prefetch": (False, 0, None), "xla": (False, None),
    "backward_prefetch": ("BACKWARD_PRE", "backward_pre", "NO_PREFETCH", "no_prefetch", None),
    "cpu_ram_efficient_loading": (False,), "xla_fsdp_v2": (False, None),
    "xla_fsdp_grad_ckpt": (False, None), "xla_fsdp_settings": ({}, None),
    "activation_checkpointing": (False,)}
KNOWN = ("reshard_after_forward", "cpu_offload", "state_dict_type", "auto_wrap_policy",
         "transformer_layer_cls_to_wrap", "min_num_params")


@dataclass(frozen=True)
class Plan:
    """How to shard.

    release: between forward and backward.  within: only within a machine.  offload: to main memory.
    classes: names of the modules that are units (none: the blocks of every list of modules).
    smallest: numbers in a unit at least.  pieces: whether a checkpoint holds weights in pieces.
    """

    release: bool = True
    within: bool = False
    offload: bool = False
    classes: tuple[str, ...] = ()
    smallest: int = 0
    pieces: bool = False


def plan(args: Any) -> Plan | None:
    """What `args.fsdp` and `args.fsdp_config` ask for; None: whole weights on every rank."""
    words = {str(getattr(word, "value", word)) for word in _listed(args.fsdp)}
    if not words or "no_shard" in words:
        return None
    config = dict(args.fsdp_config or {})
    _check(config, args)
    names = config.get("transformer_layer_cls_to_wrap") or ()
    whole = str(config.get("auto_wrap_policy", "")).upper() == "NO_WRAP"
    return Plan(
        release=bool(config.get("reshard_after_forward", True))
        and not words & {"shard_grad_op", "hybrid_shard_zero2"},
        within=bool(words & {"hybrid_shard", "hybrid_shard_zero2"}),
        offload="offload" in words or bool(config.get("cpu_offload", False)),
        classes=(Shell.__name__,) if whole else
        tuple(names.split(",")) if isinstance(names, str) else tuple(names),
        smallest=int(config.get("min_num_params") or 0),
        pieces=str(config.get("state_dict_type", "")).upper() == "SHARDED_STATE_DICT")


def _listed(words: Any) -> list[Any]:
    if words in (None, False, "", []):
        return []
    return ["full_shard"] if words is True else words if isinstance(words, list) else words.split()


def _check(config: Mapping[str, Any], args: Any) -> None:
    for name, value in config.items():
        if name not in KNOWN and name not in ANYWAY:
            raise ConfigError(f"fsdp_config has {name!r}{nearest(name, (*KNOWN, *ANYWAY))}; "
                              f"expected some of {', '.join(KNOWN)}")
        if name in ANYWAY and value not in ANYWAY[name]:
            raise NotImplementedError(f"fsdp_config: {name}={value!r} is not implemented. Do: "
                                      f"leave it out (as {ANYWAY[name][0]!r})"
                                      + _INSTEAD.get(name, ""))
    kind = str(config.get("state_dict_type", "FULL_STATE_DICT")).upper()
    if kind not in ("FULL_STATE_DICT", "SHARDED_STATE_DICT"):
        raise ConfigError(f"fsdp_config: state_dict_type is {kind!r}, expected FULL_STATE_DICT or "
                          "SHARDED_STATE_DICT")
    if args.fp16:
        raise NotImplementedError("fsdp with fp16=True is not implemented. Do: bf16=True, or leave "
                                  "fsdp out")


_INSTEAD = {"activation_checkpointing": ", and gradient_checkpointing=True"}


# ---- sharding ------------------------------------------------------------------------------------
def shard(model: nn.Module, plan: Plan, device: torch.device) -> nn.Module:
    """The model with its weights in pieces, as it is called in a training step."""
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    shell = Shell(model)
    options: dict[str, Any] = {
        "mesh": _mesh(plan, device),
        "offload_policy": CPUOffloadPolicy() if plan.offload and device.type != "cpu"
        else OffloadPolicy()}
    blocks = units(shell, plan)
    for block in blocks:
        for part in block.modules():
            if isinstance(part, RelativeBias):  # read before its block is called
                fully_shard(part, **options)
        fully_shard(block, reshard_after_forward=plan.release, **options)
    fully_shard(shell, **options)
    shell.register_forward_hook(_release)
    return shell


def _release(shell: nn.Module, inputs: Any, outputs: Any) -> None:
    """Let go of what a forward pass would keep for a backward pass that does not come."""
    if not torch.is_grad_enabled():
        shell.reshard()  # type: ignore[operator]


def units(shell: nn.Module, plan: Plan) -> list[nn.Module]:
    """The modules that are gathered and released each on its own."""
    if plan.classes == (Shell.__name__,):
        return []
    found: dict[int, nn.Module] = {}
    lists: list[str] = []
    for path, module in shell.named_modules():
        if plan.classes:
            chosen = [module] if type(module).__name__ in plan.classes else []
        elif isinstance(module, nn.ModuleList) and not path.startswith(tuple(lists)):
            lists.append(f"{path}.")
            chosen = list(module)
        else:
            continue
        for block in chosen:
            if (numbers := sum(p.numel() for p in block.parameters())) and numbers >= plan.smallest:
                found[id(block)] = block
    if plan.classes and not found:
        kinds = sorted({type(module).__name__ for module in shell.modules()})
        raise ConfigError(f"fsdp_config: transformer_layer_cls_to_wrap names {plan.classes}, and "
                          f"no module is such; expected some of {kinds}. Do: leave it out")
    return list(found.values())


def _mesh(plan: Plan, device: torch.device) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    world = torch.distributed.get_world_size()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if plan.within and here < world:
        return init_device_mesh(device.type, (world // here, here),
                                mesh_dim_names=("replicate", "shard"))
    return init_device_mesh(device.type, (world,))


@contextmanager
def no_sync(model: Any) -> Iterator[None]:
    """Gradients are added up on each rank."""
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)


@contextmanager
def whole(shell: Any, plan: Plan) -> Iterator[None]:
    """All weights on each rank: no rank waits for another inside."""
    from torch.distributed.fsdp import FSDPModule

    parts = [module for module in shell.modules() if isinstance(module, FSDPModule)]
    shell._get_fsdp_state()._lazy_init()
    shell.set_reshard_after_forward(False)
    try:
        for part in parts:
            part.unshard()
        yield
    finally:
        for part in parts:
            part.reshard()
        shell.set_reshard_after_forward(plan.release)
        shell.set_reshard_after_forward(False, recurse=False)  # as torch has it for the outermost


# ---- whole tensors -------------------------------------------------------------------------------
def is_piece(tensor: object) -> bool:
    """Whether a tensor is one of which each rank has a part."""
    distributed = sys.modules.get("torch.distributed.tensor")  # without it there is none
    return distributed is not None and isinstance(tensor, distributed.DTensor)


def is_sharded(model: nn.Module) -> bool:
    """Whether weights of a model are in pieces."""
    return any(is_piece(parameter) for parameter in model.parameters())


def full(tensor: Any) -> Tensor:
    """A tensor with all its pieces; a step that all ranks take."""
    return tensor.full_tensor() if is_piece(tensor) else tensor  # type: ignore[no-any-return]


def full_state(model: nn.Module, main: bool) -> dict[str, Tensor]:
    """The whole weights by name on the CPU of the rank that is `main`, gathered one by one."""
    state: dict[str, Tensor] = {}
    seen: dict[int, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            found = full(tensor.detach())
            seen[id(tensor)] = found.cpu() if main else found.new_empty(0)
        if main:
            state[name] = seen[id(tensor)]
    return state
