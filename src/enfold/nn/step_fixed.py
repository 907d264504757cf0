"""A step of decoding whose shapes and tensors stay the same: what a CUDA graph can hold.

    key   [B, K, capacity, D]     x x x x x x . . .     written at `place`, seen up to it

It is `step.Stepper` with another view of the cache: where a step writes is a number on the device,
attention goes over the whole capacity, and a mask hides what is not written yet.  `write` puts a
step's inputs where `compute` reads them; nothing in `compute` asks the device for a value.

B rows, H heads, K kv heads, D head_dim, S keys (the capacity)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.cache import KV, STEP, Cache
from enfold.nn.moe import Mixture
from enfold.nn.quantized import QuantizedLinear
from enfold.nn.stack import Transformer
from enfold.nn.step import Stepper, counted
from enfold.nn.step_parts import Now, hooked
from enfold.spec import Attention, Dynamic, LongRope, Rope

OURS = ("enfold", "torch")  # packages whose modules are known not to look at values on the host


def can_fix(step: Stepper) -> bool:
    """Whether a step can be one of fixed shapes: nothing in it waits for numbers of the device."""
    modules = [*step.body.modules(), *step.head.modules()]
    ropes = [spec.rope for spec in step.body.attentions() if spec.rope is not None]
    return (step.body.embed.native and all(type(state) in (KV, Fixed) for state in
                                           step.cache.states)
            and not any(isinstance(rope.scaling, Dynamic | LongRope) for rope in ropes)
            and not any(map(_waits, modules)))


def _waits(module: nn.Module) -> bool:
    """Whether a module looks at values, or may: not ours, or watched by hooks."""
    if isinstance(module, Mixture) or hooked(module):
        return True
    if type(module).__module__.partition(".")[0] not in OURS:
        return True
    return isinstance(module, QuantizedLinear) and module.waits


class Fixed(KV):
    """Keys and values that stay where they are as long as there is room and the rows are as many.
    """

    __slots__ = ()

    @classmethod
    def of(cls, state: KV, length: int, capacity: int) -> Fixed:
        """A state of `length` positions with exactly so much room, zeros where nothing is."""
        held = cls(capacity)
        held.key, held.value = state.key, state.value
        for part in held.reserve(length, capacity - length):
            part[:, :, length:] = 0  # a weight of zero times what is not a number would be none
        return held

    def put(self, key: Tensor, value: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Write key and value [B, K, 1, D] at place [1]; all there is room for."""
        if self.key is None or self.value is None:
            raise ValueError("nothing is held: the first positions have to be appended")
        return self.key.index_copy_(2, place, key), self.value.index_copy_(2, place, value)

    def reorder(self, index: Tensor, length: int) -> None:
        before = self.key, self.value
        super().reorder(index, length)
        if before[0] is not None and len(index) == len(before[0]):
            for old, new in zip(before, (self.key, self.value), strict=True):
                old[:, :, :length] = new[:, :, :length]  # type: ignore[index]
            self.key, self.value = before


class FixedNow(Now):
    """What the branches of one step of fixed shapes share; masks are to be added to scores."""

    __slots__ = ("_masks", "columns", "memory", "place")

    fixed = True

    def hold(self, place: Tensor, columns: Tensor, memory: Tensor | None) -> None:
        """The tensors of the steps to come: where they write [1], 0 .. S - 1, and the mask over the
        encoder's output to add [B, 1, 1, S'].
        """
        self.place, self.columns, self.memory = place, columns, memory

    def begin(self, positions: Tensor | None, mask: Tensor | None,
              memory_mask: Tensor | None) -> None:
        super().begin(positions, mask, memory_mask)
        self._masks: dict[int | None, Tensor] = {}

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        state: Any = self.cache.states[layer]
        return state.put(k, v, self.place)  # type: ignore[no-any-return]

    def view(self, spec: Attention, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        if spec.cross:
            return k, v, self.memory
        if spec.window not in self._masks:
            self._masks[spec.window] = added(self._seen(spec.window), k.dtype)
        mask, bias = self._masks[spec.window], self.bias() if spec.position else None
        return k, v, mask if bias is None else bias + mask

    def _seen(self, window: int | None) -> Tensor:
        """Which positions a step sees, [B or 1, 1, 1, S]."""
        seen = self.columns <= self.place
        if window is not None:
            seen &= self.columns > self.place - window
        seen = seen[None, None, None]
        return seen if self.mask is None else seen & self.mask


class FixedStepper(Stepper):
    """A stepper over tensors that are made anew only when the rows or the room change."""

    shared = FixedNow
    now: FixedNow

    def __init__(self, body: Transformer, head: Any, cache: Cache, capacity: int) -> None:
        self.held: tuple[Any, ...] = ()
        super().__init__(body, head, cache, capacity)

    @torch.inference_mode()
    def __call__(self, ids: Tensor, positions: Tensor | None = None, mask: Tensor | None = None,
                 memory_mask: Tensor | None = None) -> Tensor:
        self.write(ids, positions, mask, memory_mask)
        logits = self.compute()
        self.cache.length += 1
        return logits

    def write(self, ids: Tensor, positions: Tensor | None, mask: Tensor | None,
              memory_mask: Tensor | None) -> bool:
        """Put a step's inputs in their places; whether `compute` reads other tensors than before.
        """
        end, now = self.cache.length + 1, self._read(ids, positions, mask, memory_mask)
        moved = end > self.capacity or len(now) != len(self.held) or any(
            a is not b for a, b in zip(now, self.held, strict=True))
        if moved or self.ids.shape != ids.shape:
            self._make(end, ids, positions, mask, memory_mask)
            self.held, moved = self._read(ids, positions, mask, memory_mask), True
        self.ids.copy_(ids)
        self.place.fill_(end - 1)
        if self.positions is not None and positions is not None:
            self.positions.copy_(positions)
        if self.mask is not None and mask is not None:
            self.mask[:, :end] = mask.bool()
        return moved

    def compute(self) -> Tensor:
        """Logits [B, V] of the inputs as they were written."""
        positions = self.place[None] if self.positions is None else self.positions
        pad = counted(self.body.embed)
        if pad is not None and self.positions is None:
            positions = self.body.embed.locate(self.ids, None, 0) + positions * self.ids.ne(pad)
        return self.run(self.ids, positions, self.mask, None)

    def _read(self, *inputs: Tensor | None) -> tuple[Any, ...]:
        """What is read where it is: keys by layer, the encoder's, its mask; which inputs there are.
        """
        *own, memory_mask = inputs
        keys = [state.key for state in self.cache.states]
        return (*keys, *self.cache.cross, memory_mask, *(given is None for given in own))

    def _make(self, end: int, ids: Tensor, positions: Tensor | None, mask: Tensor | None,
              memory_mask: Tensor | None) -> None:
        """Tensors for the next steps, with room for more of them."""
        states, device = self.cache.states, ids.device
        room = max([self.capacity, *(state.key.shape[2] for state in states
                                     if state.key is not None)])
        if end > room:
            room = end + end // 4
        self.capacity = -(-room // STEP) * STEP
        states[:] = [Fixed.of(state, end - 1, self.capacity) for state in states]
        self.ids, self.place = torch.empty_like(ids), torch.empty(1, dtype=torch.long,
                                                                  device=device)
        self.positions = None if positions is None else torch.empty_like(positions)
        self.mask = None if mask is None else torch.ones(len(ids), self.capacity, dtype=torch.bool,
                                                         device=device)
        memory = None if memory_mask is None else added(memory_mask.bool()[:, None, None],
                                                        self.like.dtype)
        self.now.hold(self.place, torch.arange(self.capacity, device=device), memory)

    def rotary(self, rope: Rope, dim: int, positions: Tensor | None, *,
               exact: bool) -> tuple[Tensor, Tensor]:
        if positions is None:
            raise ValueError("a step of fixed shapes has positions in any case")
        return self._cos_sin(rope, dim, positions, exact)

    def relative(self, *, exact: bool) -> Tensor | None:
        if self.bias is None:
            return None
        return self.bias.of((self.now.columns - self.place)[None])  # type: ignore[no-any-return]


def added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to scores: zeros where something is seen, minus infinity elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)
