"""An adapted layer: the layer of the base model and what adapters do around it.

    q_proj                      Adapted
    ├── base_layer              the layer as it was
    ├── lora_A                  parts of the method, by the adapter's name: lora_A.default.weight
    └── lora_B

The names are those of peft.  A `Delta` is one adapter's work at one layer; its tensors live in the
layer's parts.   x the layer's input, y its output, weights [O, I]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from enfold.adapt.rows import BASE, groups
from enfold.errors import InputError
from enfold.nn.linear import Conv1D
from enfold.nn.quantized import QuantizedLinear

if TYPE_CHECKING:
    from enfold.adapt.adapters import Adapters


class Delta:
    """One adapter's work at one layer.  A method inherits this.

    `put` gives it tensors, which are then attributes: self.put("lora_A", module); self.lora_A(x).
    """

    changes_input = False  # whether `before` does something
    alone = False  # whether no other may be merged with it: its change depends on the base weight
    has_bias = False  # whether merging it changes the base layer's bias
    frozen: tuple[str, ...] = ()  # parts that are not trained

    def __init__(self, layer: Adapted, name: str) -> None:
        self.layer, self.name = layer, name

    def before(self, x: Tensor) -> Tensor:
        """What the base layer gets in place of its input."""
        return x

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        """The output; y is what it is so far, base what the base layer gave."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Weight [O, I] (an embedding's: [V, D]) and bias with this adapter in them."""
        raise NotImplementedError(f"{type(self).__name__} can't be merged into the base layer. "
                                  "Do: keep the adapter")

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The inverse of `merged`."""
        raise NotImplementedError(f"{type(self).__name__} can't be taken out of the base layer. "
                                  "Do: load the base model again")

    def put(self, part: str, value: nn.Module | Tensor) -> None:
        """Keep a module, a Parameter or a tensor as `part`."""
        parts: dict[str, Any] = self.layer._modules
        if part not in parts:
            kind: type[Any] = (nn.ModuleDict if isinstance(value, nn.Module) else
                               nn.ParameterDict if isinstance(value, nn.Parameter) else Buffers)
            parts[part] = kind()
        parts[part][self.name] = value

    def parts(self) -> Iterator[tuple[str, nn.Module | Tensor]]:
        """(part, module or tensor) of this adapter."""
        for part, held in self.layer._modules.items():
            if part != "base_layer" and self.name in held:  # type: ignore[operator]
                yield part, held[self.name]  # type: ignore[index]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name as in a file, tensor) of all this adapter has here."""
        for part, value in self.parts():
            if isinstance(value, nn.Module):
                yield from value.state_dict(prefix=f"{part}.", keep_vars=True).items()
            else:
                yield part, value

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained."""
        for part, value in self.parts():
            if part not in self.frozen:
                yield from (value.parameters() if isinstance(value, nn.Module) else
                            [value] if isinstance(value, nn.Parameter) else [])

    def drop(self) -> None:
        """Take this adapter's tensors out of the layer."""
        for part, _ in list(self.parts()):
            held = self.layer._modules[part]
            del held[self.name]  # type: ignore[union-attr, operator]
            if not len(held):  # type: ignore[arg-type]
                del self.layer._modules[part]

    def __getattr__(self, part: str) -> Any:
        if part.startswith("__") or "layer" not in self.__dict__:
            raise AttributeError(part)
        held = self.layer._modules.get(part)
        if held is None or self.name not in held:  # type: ignore[operator]
            raise AttributeError(f"{type(self).__name__} {self.name!r} has no part {part!r}")
        return held[self.name]  # type: ignore[index]


class Adapted(nn.Module):
    """A layer with adapters."""

    base_layer: Any

    def __init__(self, base: nn.Module, adapters: Adapters) -> None:
        super().__init__()
        self.base_layer = base
        self.adapters = adapters
        self.deltas: dict[str, Delta] = {}
        self.merged: list[str] = []
        self.training = base.training

    def forward(self, x: Tensor) -> Tensor:
        adapters, base_layer = self.adapters, self.base_layer
        if not adapters.enabled:
            return base_layer(x)  # type: ignore[no-any-return]
        if (names := adapters.rows.get()) is not None:
            return self._mixed(x, names)
        live = [self.deltas[name] for name in adapters.active
                if name in self.deltas and name not in self.merged]
        given = x
        for delta in live:
            if delta.changes_input:
                given = delta.before(given)
        base = y = base_layer(given)
        for delta in live:
            y = delta(x, y, base)
        return y  # type: ignore[no-any-return]

    def _mixed(self, x: Tensor, names: tuple[str, ...]) -> Tensor:
        """Each row with the adapter of its own name."""
        base: Tensor = self.base_layer(x)
        y = base.clone()
        for name, rows in groups(names, x).items():
            delta = self.deltas.get(name)
            if name == BASE or delta is None:
                continue
            part, own = x[rows], base[rows]
            if delta.changes_input:
                own = self.base_layer(delta.before(part))
            y[rows] = delta(part, own, own)
        return y

    # ---- the base layer --------------------------------------------------------------------------
    @property
    def matrix(self) -> Tensor:
        """The base weight as [O, I] (an embedding's: [V, D]), whichever way it is stored."""
        return _matrix(self.base_layer)

    @property
    def anchor(self) -> Tensor:
        """A tensor of the base layer, which says the device, and the type unless it is quantized.
        """
        base: nn.Module = self.base_layer
        held = (*base._parameters.values(), *base._buffers.values())
        return next(tensor for tensor in held if tensor is not None)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the base weight, of a quantized one the type it had."""
        dtype = self.anchor.dtype
        original: torch.dtype = getattr(self.base_layer, "original", torch.float32)
        return original if isinstance(self.base_layer, QuantizedLinear) else dtype

    @torch.no_grad()
    def hold(self, weight: Tensor) -> None:
        """Have the base layer hold another weight [O, I], in its own type or format."""
        if isinstance(self.base_layer, QuantizedLinear):
            self.base_layer.requantize(weight.to(self.dtype))
        else:
            self.matrix.copy_(weight)

    def sizes(self) -> tuple[int, int]:
        """(inputs, outputs); an embedding's rows and width."""
        base: Any = self.base_layer
        if isinstance(base, nn.Embedding):
            return base.num_embeddings, base.embedding_dim
        return base.in_features, base.out_features

    def merge(self, names: tuple[str, ...], *, safe: bool = False,
              dtype: torch.dtype | None = None) -> None:
        """Work adapters into the base weight, in place; a quantized one is dequantized for it, to
        dtype.
        """
        for name in names:
            if name in self.deltas and name not in self.merged:
                self._change(self.deltas[name].merged, safe=safe, dtype=dtype)
                self.merged.append(name)

    def check_merge(self, names: tuple[str, ...]) -> None:
        """Raise if these adapters can't be in the weight at once."""
        held = {name: self.deltas[name] for name in (*self.merged, *names) if name in self.deltas}
        for name, delta in held.items():
            if delta.alone and len(held) > 1:
                raise NotImplementedError(
                    f"the {type(delta).__name__} adapter {name!r} is merged alone, got "
                    f"{', '.join(held)} for one layer. Do: merge_and_unload it, then load the "
                    "other")
            if delta.has_bias and getattr(self.base_layer, "bias", None) is None:
                raise InputError(
                    f"the adapter {name!r} has a bias (lora_bias=True) and the layer it is at has "
                    "none, so a merged model would be of another architecture. Do: keep the "
                    "adapter, or train one with lora_bias=False")

    def unmerge(self) -> None:
        """Take the merged adapters out again, the last first."""
        while self.merged:
            self._change(self.deltas[self.merged.pop()].unmerged)

    @torch.no_grad()
    def _change(self, change: Any, *, safe: bool = False,
                dtype: torch.dtype | None = None) -> None:
        base = self.base_layer
        if isinstance(base, QuantizedLinear):
            base = base.plain(dtype)
        matrix, bias = _matrix(base), getattr(base, "bias", None)
        wide = torch.promote_types(matrix.dtype, torch.float32)  # sums of 16 bits are rounded once
        weight, shift = change(matrix.to(wide), None if bias is None else bias.to(wide))
        if safe and not torch.isfinite(weight).all():
            raise InputError("merging with safe_merge=True: the merged weight would hold inf or "
                             "nan. Do: look for an adapter that diverged in training")
        matrix.copy_(weight)
        self.base_layer = base
        if shift is not None and bias is not None:
            bias.copy_(shift)
        elif shift is not None:  # GPTQ's layers have a bias of zeros, which plain ones lose
            self.base_layer.bias = nn.Parameter(shift.to(matrix.dtype), requires_grad=False)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer" or name.startswith("__"):
                raise
            return getattr(self.base_layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("weight", "bias"):
            setattr(self.base_layer, name, value)
        else:
            super().__setattr__(name, value)


def _matrix(layer: Any) -> Tensor:
    """The weight of a layer as [O, I] (an embedding's: [V, D])."""
    if isinstance(layer, QuantizedLinear):
        return layer.dequantize()
    weight: Tensor = layer.weight
    return weight.t() if isinstance(layer, Conv1D) else weight


class Buffers(nn.Module):
    """Tensors by name that are kept and not trained."""

    def __setitem__(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value)

    def __getitem__(self, name: str) -> Tensor:
        return self._buffers[name]  # type: ignore[return-value]

    def __delitem__(self, name: str) -> None:
        del self._buffers[name]

    def __contains__(self, name: str) -> bool:
        return name in self._buffers

    def __len__(self) -> int:
        return len(self._buffers)
