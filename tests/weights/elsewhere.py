"""Devices that are not there: "elsewhere:0" and so on, of tensors that are computed on the CPU.

    with Elsewhere(): torch.ones(2, device="elsewhere:1") + torch.ones(2)    # raises, as GPUs do

Registers a device with torch for the whole process, so tests that need it run in one of their own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "elsewhere"
_aten = torch.ops.aten
MOVES: list[Any] = []  # the tensors that went from one device to another
COPIES = (_aten._to_copy.default, _aten.copy_.default)


class Backend:
    """What torch asks a kind of device."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 2

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)


def register() -> None:
    """Tell torch of the devices."""
    _setup_privateuseone_for_python_backend(NAME, Backend())


class There(Tensor):
    """A tensor on such a device: `inner` is on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, real: Tensor, device: torch.device) -> There:
        made = Tensor._make_wrapper_subclass(
            cls, real.shape, real.stride(), real.storage_offset(), dtype=real.dtype, device=device)
        made.inner = real
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        return self.inner.tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"There({self.inner}, {self.device})"


class Literals(TorchFunctionMode):
    """torch.tensor([...], device=...) makes its tensor past all dispatch: it goes by the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is not torch.tensor:
            return func(*args, **given)
        device = given.pop("device", None)
        made = func(*args, **given)
        return made if device is None else made.to(device)


class Elsewhere(TorchDispatchMode):
    """Inside, tensors can be made on such devices."""

    def __enter__(self) -> Any:
        self.literals = Literals()
        self.literals.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.literals.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Threads(ThreadPoolExecutor):
    """Threads that know of the devices too: modes are of one thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        def inside() -> Any:
            with Elsewhere():
                return fn(*args, **kwargs)

        return super().submit(inside)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the CPU; raises if its tensors are on several devices."""
    flat, shape = tree_flatten((args, kwargs))
    wrappers = {id(t.inner): t for t in flat if isinstance(t, There)}
    homes = {t.device for t in flat if isinstance(t, Tensor) and (t.dim() or isinstance(t, There))}
    asked = kwargs.get("device")
    if func is _aten.copy_.default:
        homes = {args[0].device}
    elif len(homes) > 1 and func not in COPIES:
        raise RuntimeError(f"{func}: tensors are on several devices, {homes}")
    target = torch.device(asked) if asked is not None else next(iter(homes), torch.device("cpu"))
    if func is _aten._to_copy.default and homes and target not in homes:
        MOVES.append(args[0])
    real = [t.inner if isinstance(t, There) else torch.device("cpu")
            if isinstance(t, torch.device) else t for t in flat]
    plain_args, plain_kwargs = tree_unflatten(real, shape)
    out = func(*plain_args, **plain_kwargs)

    def wrap(found: Any) -> Any:
        if not isinstance(found, Tensor) or isinstance(found, There):
            return found
        if id(found) in wrappers:
            return wrappers[id(found)]
        return There(found, target) if target.type == NAME else found

    return tree_map(wrap, out)
