"""Running a model over several places: a pass over the built module, undone by nothing.

Each part (a block, an embedding, a head) becomes a subclass of its class whose forward moves what
comes in to the part's device, once, and brings in the part's tensors where they are offloaded,
while the next part's are fetched by a thread.  What is offloaded is not trained.  Names, states,
saving and adapters see the same modules as before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.nn.context import Context
from enfold.weights.place.disk import Mapped
from enfold.weights.place.move import device_of, moved
from enfold.weights.place.planner import Place, Plan


class Placed(nn.Module):
    """What the class of a part becomes, in front of its own."""

    station: Station

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        station = self.station
        with station.brought(self):
            found = super().forward(*station.here(args), **station.here(kwargs))
        return moved(found, device_of(args) or station.device) if station.returns else found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _blank, (type(self).__mro__[2],), self.__getstate__()  # type: ignore[no-untyped-call]


_CLASSES: dict[Any, type[nn.Module]] = {}


def placed_class(kind: type[nn.Module]) -> type[nn.Module]:
    """`kind` behind `Placed`; the same one each time."""
    if kind not in _CLASSES:
        _CLASSES[kind] = type(f"Placed{kind.__name__}", (Placed, kind),
                              {"__module__": kind.__module__})
    return _CLASSES[kind]


def _blank(kind: type[nn.Module]) -> nn.Module:
    made = placed_class(kind)
    return made.__new__(made)


class Station:
    """Where a part runs, and how its tensors get there.  returns: outputs go back to the caller's
    device (a pooler's do, for its head goes on with them).
    """

    def __init__(self, device: torch.device, crew: Crew, mapped: dict[int, Mapped], *,
                 offloaded: bool, fetched: bool, returns: bool = False) -> None:
        self.device, self.crew, self.returns = device, crew, returns
        self.mapped, self.offloaded, self.fetched = mapped, offloaded, fetched
        self.next: nn.Module | None = None

    def here(self, values: Any) -> Any:
        """Arguments on this device; a pass's context is moved once for all parts of a device."""
        if isinstance(values, tuple):
            return tuple(self.crew.context(value, self.device) if isinstance(value, Context)
                         else moved(value, self.device) for value in values)
        return moved(values, self.device)

    @contextmanager
    def brought(self, part: nn.Module) -> Iterator[None]:
        """Inside, the part's tensors are on the device."""
        if not self.offloaded:
            yield
            return
        with self.crew.lock:
            copies = self.crew.arrived(part, self)
            if self.next is not None and self.next is not part:
                self.crew.send_for(self.next)
            put = _swapped(part, copies, self.device)
            try:
                yield
            finally:
                for table, leaf, tensor in put:
                    table[leaf] = tensor
                self.release(part)

    def fetch(self, part: nn.Module) -> Copies:
        """Have the part's tensors near: its pages read, or copies on the device."""
        copies: Copies = {}
        if not self.fetched:  # read row by row
            return copies
        for table, leaf, tensor in _tensors(part):
            source = self.mapped.get(tensor.data_ptr())
            if source is not None and source.holds(tensor):
                source.fetch()
            if tensor.device != self.device and not tensor.requires_grad:
                copies[id(table), leaf] = self.crew.copy(tensor, self.device)
        return copies

    def release(self, part: nn.Module) -> None:
        """Give back the pages that running took."""
        for _, _, tensor in _tensors(part):
            source = self.mapped.get(tensor.data_ptr())
            if source is not None and source.holds(tensor):
                source.release()


    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "mapped": {}}  # a copy's tensors are in memory


Copies = dict[tuple[int, str], Tensor]
Spot = tuple[dict[str, Any], str, Tensor]


class Crew:
    """What the stations of a model share: the thread that fetches, contexts by device."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._thread: ThreadPoolExecutor | None = None
        self._coming: dict[int, Future[Copies]] = {}
        self._streams: dict[torch.device, Any] = {}
        self._context: tuple[Any, dict[torch.device, Any]] = (None, {})

    def context(self, ctx: Context, device: torch.device) -> Context:
        """A pass's context on a device, made once for each."""
        twins: dict[Any, Context] = self._context[1] if self._context[0] is ctx else {}
        if device not in twins:
            twin: Context = moved(ctx, device)
            if twin is ctx:
                return ctx
            twins[device] = twin
            self._context = (ctx, twins)
        return twins[device]

    def forget(self) -> None:
        """Let go of the last pass's context."""
        self._context = (None, {})

    def send_for(self, part: nn.Module) -> None:
        """Begin to fetch a part."""
        if id(part) not in self._coming:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="enfold-offload")
            self._coming[id(part)] = self._thread.submit(self._fetch, part)

    @torch.no_grad()
    def _fetch(self, part: nn.Module) -> Copies:
        return part.station.fetch(part)  # type: ignore[union-attr, operator, no-any-return]

    def arrived(self, part: nn.Module, station: Station) -> Copies:
        """What was fetched for a part, now."""
        coming = self._coming.pop(id(part), None)
        copies = self._fetch(part) if coming is None else coming.result()
        if station.device in self._streams and copies:
            current = torch.cuda.current_stream(station.device)
            current.wait_stream(self._streams[station.device])
            for tensor in copies.values():
                tensor.record_stream(current)
        return copies

    def copy(self, tensor: Tensor, device: torch.device) -> Tensor:
        """A copy on a device; on a GPU by a stream of its own, beside the computation."""
        if device.type != "cuda" or not torch.cuda.is_available():
            return tensor.detach().to(device)
        if device not in self._streams:
            self._streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream = self._streams[device]
        with torch.cuda.stream(stream):
            return tensor.detach().to(device, non_blocking=True)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]


class Placement:
    """A model's plan at work: `print(model.placement)`.  several: parts run on several devices."""

    def __init__(self, plan: Plan, crew: Crew, *, several: bool) -> None:
        self.plan, self.crew, self.several = plan, crew, several

    def __str__(self) -> str:
        return str(self.plan)

    def refuse_move(self, title: str, fn: Any) -> None:
        """Raise for a change of the whole model that would undo the plan."""
        probe = torch.zeros(1)
        changed = fn(probe)
        if (changed.device, changed.dtype) != (probe.device, probe.dtype):
            places = ", ".join(map(str, dict.fromkeys(self.plan.places.values())))
            raise InputError(f"{title} is placed over {places}, so it can't be moved or cast as a "
                             "whole. Do: load it again with another device_map or dtype")


def spread(model: nn.Module, plan: Plan, devices: dict[Place, torch.device],
           mapped: dict[int, Mapped]) -> Placement:
    """Make each part run on its device: see above."""
    crew, guests = Crew(), []
    for part in plan.parts:
        module, place = nn.Module.get_submodule(model, part.name), plan.places[part.name]
        guest = place not in plan.limits.devices
        module.station = Station(  # type: ignore[assignment]
            devices[plan.runs(part)], crew, mapped if guest else {},
            offloaded=guest and (place == "disk" or not part.lookup),
            fetched=guest and not part.lookup, returns=part.name.endswith(".pooler"))
        module.__class__ = placed_class(type(module))
        if guest:
            module.requires_grad_(requires_grad=False)
        if guest and not part.lookup:
            guests.append(module)
    for module, following in zip(guests, [*guests[1:], *guests[:1]], strict=True):
        module.station.next = following  # type: ignore[union-attr]
    several = len({devices[plan.runs(part)] for part in plan.parts}) > 1
    if several:
        model.register_forward_hook(_home, with_kwargs=True, always_call=True)
    return Placement(plan, crew, several=several)


def _home(model: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
    """Outputs go to the device of the inputs."""
    placement: Any = model.placement
    placement.crew.forget()
    device = device_of(args) or device_of(kwargs)
    return output if device is None else moved(output, device)


def _tensors(part: nn.Module) -> list[Spot]:
    """(table, leaf, tensor) of all parameters and buffers of a part."""
    tables: list[dict[str, Any]] = [table for module in part.modules()
                                    for table in (module._parameters, module._buffers)]
    return [(table, leaf, tensor) for table in tables for leaf, tensor in table.items()
            if tensor is not None]


def _swapped(part: nn.Module, copies: Copies, device: torch.device) -> list[Spot]:
    """Put copies in place of the part's tensors; what was there, to be put back."""
    before = [spot for spot in _tensors(part) if spot[2].device != device]
    for table, leaf, tensor in before:
        table[leaf] = copies[id(table), leaf] if (id(table), leaf) in copies else tensor.to(device)
    return before
