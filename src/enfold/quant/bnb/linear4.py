"""NF4 and FP4 layers, stored as bitsandbytes stores them.

    weight                                 uint8 [O I / 2, 1], two numbers in a byte
    weight.absmax                          fp32 [blocks]; nested: uint8
    weight.quant_map                       the 16 values
    weight.nested_absmax, .nested_quant_map                     nested only: the scales' own
    weight.quant_state.bitsandbytes__nf4   JSON as bytes: block sizes, shape and type before

x [.., I], weights [O, I]
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.errors import CheckpointError
from enfold.nn import blocks4
from enfold.nn.cuda import four
from enfold.nn.linear import Kernel
from enfold.nn.native import blocks4 as native
from enfold.nn.quantized import QuantizedLinear
from enfold.quant.blocks8 import dequantize_blocks, dynamic_map, quantize_blocks

NESTED = 256  # scales in a block of scales
TILE = 2**20  # numbers dequantized at a time for a product of many rows
STATE = "weight.quant_state.bitsandbytes__"


Parts = tuple[Tensor, Tensor, Tensor | None, Tensor | None, float, str, int]


class Linear4bit(QuantizedLinear):
    """A linear layer in NF4 or FP4.

    `compute`: the type that products are computed in, whatever the input's.
    """

    reads = ("weight", "weight.absmax", "weight.quant_map", "weight.nested_absmax",
             "weight.nested_quant_map", f"{STATE}nf4", f"{STATE}fp4")

    def __init__(self, linear: nn.Linear, kind: str = "nf4", *, block: int = 64,
                 nested: bool = False, compute: torch.dtype = torch.float32,
                 storage: torch.dtype = torch.uint8) -> None:
        super().__init__(linear)
        blocks4.check(kind, block)
        self.method, self.block, self.nested = kind, block, nested
        self.compute, self.storage = compute, storage
        self.original = linear.weight.dtype  # of the weight before
        for name in ("absmax", "nested_absmax", "nested_map"):
            self.register_buffer(name, None)
        self.offset = 0.0  # of nested scales
        self.weight = nn.Parameter(torch.empty(0, 1, dtype=torch.uint8), requires_grad=False)

    @property
    def count(self) -> int:
        """The numbers of the weight."""
        return self.in_features * self.out_features

    # ---- in and out ------------------------------------------------------------------------------
    def requantize(self, weight: Tensor) -> None:
        self.original = weight.dtype
        packed, absmax = blocks4.quantize(weight, self.method, self.block)
        self._hold(packed)
        if not self.nested:
            self.absmax = absmax
            return
        mean = absmax.mean()
        self.absmax, self.nested_absmax = quantize_blocks(absmax - mean, NESTED)
        self.nested_map, self.offset = dynamic_map().to(absmax.device), mean.item()

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        key = next(name for name in tensors if name.startswith(STATE))
        state = unpack_state(tensors[key])
        self.method, self.block = key.removeprefix(STATE), int(state["blocksize"])
        blocks4.check(self.method, self.block)
        self._check(state, tensors)
        self.storage = tensors["weight"].dtype
        self.original = getattr(torch, state["dtype"])
        self._hold(tensors["weight"].reshape(-1).view(torch.uint8))
        self.absmax, self.nested = tensors["weight.absmax"], "weight.nested_absmax" in tensors
        if self.nested:
            self.nested_absmax = tensors["weight.nested_absmax"]
            self.nested_map = tensors["weight.nested_quant_map"]
            self.offset = float(state["nested_offset"])

    def _hold(self, packed: Tensor) -> None:
        self.weight = nn.Parameter(packed.view(-1, 1), requires_grad=False)

    def _check(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Raise for tensors that don't belong to a layer of these sizes."""
        title, shape = "a 4-bit layer of the checkpoint", [self.out_features, self.in_features]
        if list(state["shape"]) != shape:
            raise CheckpointError(f"{title} was {state['shape']} before it was quantized, expected "
                                  f"{shape}. Do: check config.json against the weights")
        needed = {"weight": (self.count + 1) // 2, "weight.absmax": -(-self.count // self.block)}
        absmax = torch.uint8 if "weight.nested_absmax" in tensors else torch.float32
        if tensors["weight.absmax"].dtype != absmax:
            raise CheckpointError(f"{title} has {tensors['weight.absmax'].dtype} in weight.absmax, "
                                  f"expected {absmax}. Do: save the quantized model again")
        for name, count in needed.items():
            held = tensors[name].nbytes if name == "weight" else tensors[name].numel()
            if held != count:
                raise CheckpointError(f"{title} has {held} in {name}, expected {count} for "
                                      f"{shape} in blocks of {self.block}. Do: save the quantized "
                                      "model again")
        if not torch.equal(tensors["weight.quant_map"].cpu(), blocks4.values(self.method)):
            raise CheckpointError(f"{title} has other values than those of {self.method} in its "
                                  "quant_map. Do: quantize the original checkpoint here")

    def tensors(self) -> dict[str, Tensor]:
        packed = self.weight if self.storage == torch.uint8 else self.weight.detach().view(-1).view(
            self.storage).view(-1, 1)
        held = {"weight": packed, "weight.absmax": self.absmax,
                "weight.quant_map": blocks4.values(self.method).to(packed.device, copy=True)}
        if self.nested:
            held["weight.nested_absmax"] = self.nested_absmax
            held["weight.nested_quant_map"] = self.nested_map.clone()
        held[STATE + self.method] = pack_state(self._state()).to(packed.device)
        return held

    def _state(self) -> dict[str, Any]:
        state = {"quant_type": self.method, "blocksize": self.block,
                 "dtype": str(self.original).removeprefix("torch."),
                 "shape": [self.out_features, self.in_features]}
        if self.nested:
            state |= {"nested_blocksize": NESTED, "nested_dtype": "float32",
                      "nested_offset": self.offset}
        return state

    def wants(self, held: Collection[str]) -> Collection[str]:
        nested = {name for name in held if "nested" in name}
        kind = next((name for name in held if name.startswith(STATE)), STATE + self.method)
        return {"weight", "weight.absmax", "weight.quant_map", kind} | (
            {"weight.nested_absmax", "weight.nested_quant_map"} if nested else set())

    def describe(self) -> str:
        return f"{self.method}, blocks of {self.block}" + (", nested" if self.nested else "")

    # ---- numbers ---------------------------------------------------------------------------------
    def scales(self) -> Tensor:
        """The largest magnitude of each block, fp32."""
        if not self.nested:
            return self.absmax
        return dequantize_blocks(self.absmax, self.nested_absmax, NESTED,
                                 self.nested_map) + self.offset

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        flat = blocks4.dequantize(self.weight.detach().view(-1), self.scales(), self.method,
                                  self.block, self.count, dtype or self.original)
        return flat.view(self.out_features, self.in_features)

    def multiply(self, x: Tensor) -> Tensor:
        """Few rows by a kernel that reads the packed weight, many with parts of it dequantized."""
        wide, held = self.compute or x.dtype, self._held()
        found = native.multiply(x, *held, self._bias(torch.float32), narrow=wide == torch.bfloat16)
        if found is None:
            x, dtype = x.to(wide), x.dtype
            found = four.multiply(x, *held, self.bias)
            if found is None:
                found = native.multiply_many(x, *held, self._bias(wide))
            found = (self._by_tiles(x) if found is None else found).to(dtype)
        return found

    def kernel(self, dtype: torch.dtype) -> Kernel:
        held, bias = self._held(), self._bias(torch.float32)
        narrow = (self.compute or dtype) == torch.bfloat16

        def run(x: Tensor) -> Tensor:
            found = native.multiply(x, *held, bias, narrow=narrow)
            return self.multiply(x) if found is None else found

        return run

    def _held(self) -> tuple[Tensor, Tensor | native.Nested, tuple[float, ...], int, int]:
        """The weight as kernels take it."""
        return (self.weight, self._read(), blocks4.VALUES[self.method], self.out_features,
                self.block)

    def traced(self, x: Tensor, exact: bool) -> Tensor | None:
        if not (x.is_cpu or (x.is_cuda and four.installed())):
            return None
        bias = None if exact else self._bias(torch.float32)
        return torch.ops.enfold.blocks4_linear(  # type: ignore[no-any-return]
            x, *self.parts(), self.out_features, self.compute, bias, exact)

    def parts(self) -> Parts:
        """What the weight's numbers come from."""
        return (self.weight, self.absmax, self.nested_absmax, self.nested_map, self.offset,
                self.method, self.block)

    @classmethod
    def of(cls, parts: Parts, sizes: tuple[int, int], compute: torch.dtype,
           bias: Tensor | None) -> Linear4bit:
        """A layer [O, I] of `parts`, for a product."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.out_features, layer.in_features = sizes
        layer.compute, layer.original = compute, compute
        weight, absmax, nested_absmax, nested_map, layer.offset, layer.method, layer.block = parts
        held = {"weight": weight, "absmax": absmax, "nested_absmax": nested_absmax,
                "nested_map": nested_map, "bias": bias}
        layer.__dict__.update(held, nested=nested_absmax is not None)
        return layer

    def _read(self) -> Tensor | native.Nested:
        """The scales as a kernel reads them."""
        if not self.nested:
            return self.absmax
        return native.Nested(self.absmax, self.nested_absmax, self.nested_map, self.offset, NESTED)

    def _by_tiles(self, x: Tensor) -> Tensor:
        """The product with some rows of the weight after the others, each dequantized for it."""
        inputs, outputs, unit = self.in_features, self.out_features, self.block
        step = unit // gcd(inputs, unit)  # rows that begin with a block
        rows = max(1, (TILE if x.is_cpu else four.PART) // inputs // step) * step
        if rows >= outputs:
            return self._product(x)
        out, scales, packed = x.new_empty((*x.shape[:-1], outputs)), self.scales(), self.weight
        for start in range(0, outputs, rows):
            stop = min(start + rows, outputs)
            tile = blocks4.dequantize(packed.detach().view(-1), scales, self.method, self.block,
                                      (stop - start) * inputs, x.dtype, start * inputs)
            out[..., start:stop] = F.linear(x, tile.view(stop - start, inputs))
        return out if self.bias is None else out.add_(self.bias.to(out.dtype))


def pack_state(state: Mapping[str, Any]) -> Tensor:
    """JSON as a tensor of bytes."""
    return torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)


def unpack_state(tensor: Tensor) -> dict[str, Any]:
    """The dictionary in a tensor of bytes."""
    try:
        found: dict[str, Any] = json.loads(bytes(tensor.cpu().tolist()))
        if not isinstance(getattr(torch, found["dtype"]), torch.dtype):
            raise ValueError(f"dtype {found['dtype']}")
        return found | {"blocksize": int(found["blocksize"]), "shape": list(found["shape"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("a 4-bit layer's quant_state in the checkpoint can't be read "
                              f"({error}). Expected JSON with blocksize, dtype and shape. Do: save "
                              "the quantized model again") from error


# ---- for graphs: torch.compile sees one operation ------------------------------------------------
@torch.library.custom_op("enfold::blocks4_linear", mutates_args=())
def _linear(x: Tensor, packed: Tensor, absmax: Tensor, nested_absmax: Tensor | None,
            nested_map: Tensor | None, offset: float, kind: str, block: int, outputs: int,
            compute: torch.dtype, bias: Tensor | None, exact: bool) -> Tensor:
    """exact: through the weight's numbers, as training wants it."""
    parts = (packed, absmax, nested_absmax, nested_map, offset, kind, block)
    layer = Linear4bit.of(parts, (outputs, x.shape[-1]), compute, bias)
    return F.linear(x, layer.dequantize(x.dtype), bias) if exact else layer.multiply(x)


@_linear.register_fake
def _(x: Tensor, packed: Tensor, absmax: Tensor, nested_absmax: Tensor | None,
      nested_map: Tensor | None, offset: float, kind: str, block: int, outputs: int,
      compute: torch.dtype, bias: Tensor | None, exact: bool) -> Tensor:
    return x.new_empty((*x.shape[:-1], outputs))


@torch.library.custom_op("enfold::blocks4_numbers", mutates_args=())
def _numbers(packed: Tensor, absmax: Tensor, nested_absmax: Tensor | None,
             nested_map: Tensor | None, offset: float, kind: str, block: int, outputs: int,
             inputs: int, dtype: torch.dtype) -> Tensor:
    """The weight [O, I]."""
    parts = (packed, absmax, nested_absmax, nested_map, offset, kind, block)
    return Linear4bit.of(parts, (outputs, inputs), dtype, None).dequantize(dtype)


@_numbers.register_fake
def _(packed: Tensor, absmax: Tensor, nested_absmax: Tensor | None, nested_map: Tensor | None,
      offset: float, kind: str, block: int, outputs: int, inputs: int,
      dtype: torch.dtype) -> Tensor:
    return packed.new_empty((outputs, inputs), dtype=dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *held = inputs
    ctx.inputs, ctx.rest = x.shape[-1], held[4:]
    ctx.save_for_backward(*held[:4])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    offset, kind, block, outputs, _, bias, _ = ctx.rest
    weight = torch.ops.enfold.blocks4_numbers(*ctx.saved_tensors, offset, kind, block, outputs,
                                              ctx.inputs, grad.dtype)
    to_bias = None if bias is None else grad.flatten(0, -2).sum(0).to(bias.dtype)
    return (grad @ weight, *[None] * 9, to_bias, None)


_linear.register_autograd(_backward, setup_context=_keep)
