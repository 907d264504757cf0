"""Slots: where a model keeps its tensors, by our names, ties seen as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from enfold.nn.quantized import QuantizedLinear

PARTS = ("body", "head")


@dataclass(slots=True)
class Slot:
    """One tensor of a model and all the places (our names) that hold it."""

    names: list[str]
    tensor: Tensor
    computed: bool = False

    @property
    def name(self) -> str:
        """The first name."""
        return self.names[0]

    def put(self, root: nn.Module, value: Tensor) -> None:
        """Have every place of the slot hold `value`; gradients are wanted as before."""
        parameter: nn.Parameter | None = None
        for name in self.names:
            path, _, leaf = name.rpartition(".")
            module = root.get_submodule(path)
            if leaf in module._buffers:
                module._buffers[leaf] = value
                continue
            old = module._parameters[leaf]
            wanted = value.is_floating_point() and (old is None or old.requires_grad)
            if isinstance(value, nn.Parameter):
                parameter = value
            elif parameter is None:
                parameter = nn.Parameter(value, wanted)
            module._parameters[leaf] = parameter


def slots(root: nn.Module, *, packed: bool = True) -> list[Slot]:
    """The tensors of body and head in the order of their modules, persistent buffers included.

    packed: with the weights of quantized layers, as files hold them; these can't be put.
    """
    found: dict[int, Slot] = {}
    for name, tensor, computed in members(root, packed=packed):
        if id(tensor) in found:
            found[id(tensor)].names.append(name)
        else:
            found[id(tensor)] = Slot([name], tensor, computed)
    return list(found.values())


def members(root: nn.Module, *, packed: bool = True) -> Iterator[tuple[str, Tensor, bool]]:
    """(our name, tensor, is it computed) of parameters and persistent buffers, ties repeated."""
    for part in PARTS:
        top = root._modules.get(part)
        if top is None:
            continue
        for path, module in top.named_modules(prefix=part):
            if isinstance(module, QuantizedLinear):
                yield from _of_quantized(path, module, packed)
                continue
            computed = getattr(module, "computed", ())
            for leaf, parameter in module._parameters.items():
                if parameter is not None:
                    yield f"{path}.{leaf}", parameter, leaf in computed
            for leaf, buffer in module._buffers.items():
                if buffer is not None and leaf not in module._non_persistent_buffers_set:
                    yield f"{path}.{leaf}", buffer, leaf in computed


def parameters(root: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """(our name, parameter), ties repeated; of quantized layers those that they have."""
    for part in PARTS:
        if (top := root._modules.get(part)) is not None:
            for path, module in top.named_modules(prefix=part):
                yield from ((f"{path}.{leaf}", parameter)
                            for leaf, parameter in module._parameters.items()
                            if parameter is not None)


def _of_quantized(path: str, layer: QuantizedLinear,
                  packed: bool) -> Iterator[tuple[str, Tensor, bool]]:
    for leaf, tensor in layer.tensors().items() if packed else ():
        yield f"{path}.{leaf}", tensor, False
    if layer.bias is not None:
        yield f"{path}.bias", layer.bias, False


def retied(root: nn.Module, change: Callable[[], object]) -> None:
    """Make a change that may give every module a parameter of its own; ties stay ties."""
    ties = [slot for slot in slots(root, packed=False) if len(slot.names) > 1]
    change()
    for slot in ties:
        path, _, leaf = slot.name.rpartition(".")
        held = root.get_submodule(path)._parameters[leaf]
        if held is not None:
            slot.put(root, held)


def materialise(root: nn.Module, device: torch.device) -> None:
    """Give tensors that are still on the meta device memory, uninitialised; ties stay ties."""
    for slot in slots(root, packed=False):
        if slot.tensor.is_meta and device.type != "meta":
            slot.put(root, torch.empty_like(slot.tensor.detach(), device=device))
