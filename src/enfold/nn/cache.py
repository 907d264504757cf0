"""What a decoder remembers between steps: one state per mixer, outside the model.

    Cache.states[layer]    KV of the self-attention    [B, K, capacity, D], the first `length` are
    valid Cache.cross[layer]     keys and values of the encoder's output, computed once

A state grows by reallocation, in steps of 256 or to the length asked for at the start, so that a
step writes its row in place and reads a view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

STEP = 256


class KV:
    """Keys and values of one attention layer, growing in place."""

    __slots__ = ("capacity", "key", "value")

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self.key: Tensor | None = None
        self.value: Tensor | None = None

    def append(self, key: Tensor, value: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Put key and value [B, K, T, D] behind `length` positions; views of all of them."""
        end = length + key.shape[2]
        if torch.is_grad_enabled() and (key.requires_grad or self._tracked()):
            return self._join(key, value, length)  # writing in place would cut the graph
        if self.key is None or end > self.key.shape[2]:
            self._grow(key, value, length, end)
        held_key, held_value = self.key, self.value
        held_key[:, :, length:end] = key  # type: ignore[index]
        held_value[:, :, length:end] = value  # type: ignore[index]
        return held_key[:, :, :end], held_value[:, :, :end]  # type: ignore[index]

    def reserve(self, length: int, more: int) -> tuple[Tensor, Tensor]:
        """Keys and values with room for `more` behind `length`, laid out alike."""
        if self.key is None or self.value is None:
            raise ValueError("nothing is held: the first positions have to be appended")
        strides = self.key.stride(), self.value.stride()
        if length + more > self.key.shape[2] or strides[0] != strides[1] or strides[0][3] != 1:
            self._grow(self.key, self.value, length, length + more)
        return self.key, self.value

    def _tracked(self) -> bool:
        return self.key is not None and self.key.requires_grad

    def _join(self, key: Tensor, value: Tensor, length: int) -> tuple[Tensor, Tensor]:
        if self.key is not None and self.value is not None and length:
            key = torch.cat((self.key[:, :, :length], key), 2)
            value = torch.cat((self.value[:, :, :length], value), 2)
        self.key, self.value = key, value
        return key, value

    def _grow(self, key: Tensor, value: Tensor, length: int, end: int) -> None:
        capacity = self.capacity if end <= self.capacity else -(-end // STEP) * STEP
        batch, heads = key.shape[:2]
        with torch.inference_mode(False):  # writable later, in whatever mode that is
            new_key = key.new_empty(batch, heads, capacity, key.shape[3])
            new_value = value.new_empty(batch, heads, capacity, value.shape[3])
        if self.key is not None and self.value is not None and length:
            new_key[:, :, :length] = self.key[:, :, :length]
            new_value[:, :, :length] = self.value[:, :, :length]
        self.key, self.value = new_key, new_value

    def reorder(self, index: Tensor, length: int) -> None:
        """Keep the batch rows `index`, in that order, repeats allowed, of `length` positions."""
        if self.key is not None and self.value is not None:
            self.key, self.value = (_rows(x, index, length) for x in (self.key, self.value))


class Cache:
    """The past of a decoder, passed as `past_key_values` and updated in place.

    `len(cache)` is the number of layers, `cache[i]` the (key, value) of a layer, followed by the
    encoder's (key, value) in an encoder-decoder; `cache.length` positions are held.
    """

    def __init__(self, layers: int = 0, capacity: int = 0, *, cross: bool = False) -> None:
        self.length = 0
        self.capacity = capacity
        self.states: list[KV] = []
        self.cross: list[tuple[Tensor, Tensor] | None] = []
        self.ensure(layers, cross=cross)

    @classmethod
    def from_legacy_cache(cls, past: Iterable[tuple[Tensor, ...]]) -> Cache:
        """A cache of older code's tuples ((key, value[, cross key, cross value]), ...)."""
        cache = cls()
        for layer in past:
            state = KV()
            state.key, state.value = layer[0], layer[1]
            cache.states.append(state)
            cache.cross.append((layer[2], layer[3]) if len(layer) == 4 else None)
            cache.length = layer[0].shape[2]
        return cache

    def ensure(self, layers: int, *, cross: bool = False) -> None:
        """Have a state for each layer: an empty cache takes its size from the first model."""
        while len(self.states) < layers:
            self.states.append(KV(self.capacity))
            self.cross.append(None)

    def __len__(self) -> int:
        return len(self.states)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, layer: int) -> tuple[Tensor, ...]:
        state = self.states[layer]
        if state.key is None or state.value is None:
            raise IndexError(f"layer {layer} of the cache is empty")
        own = state.key[:, :, : self.length], state.value[:, :, : self.length]
        return (*own, *(self.cross[layer] or ()))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (self[layer] for layer in range(len(self)))

    def to_legacy_cache(self) -> tuple[tuple[Tensor, ...], ...]:
        """The cache as a tuple of tuples."""
        return tuple(self)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions held."""
        return self.length

    def reorder(self, index: Tensor, *, within: bool = False) -> None:
        """Keep the batch rows `index` [B'], in that order, repeats allowed (beams, expansion).

        within: rows only take the places of copies of the same prompt, B' = B, so that what the
        encoder gave stays where it is.
        """
        for state in self.states:
            state.reorder(index, self.length)
        if within:
            return
        self.cross = [held and (_picked(held[0], index), _picked(held[1], index))
                      for held in self.cross]

    def crop(self, length: int) -> None:
        """Forget the positions from `length` on; a negative length counts from the end."""
        self.length = max(0, min(self.length, length if length >= 0 else self.length + length))

    def __deepcopy__(self, memo: dict[int, Any]) -> Cache:
        twin = Cache(capacity=self.capacity)
        twin.length = self.length
        for state, cross in zip(self.states, self.cross, strict=True):
            copy = KV(state.capacity)
            copy.key = None if state.key is None else state.key.clone()
            copy.value = None if state.value is None else state.value.clone()
            twin.states.append(copy)
            twin.cross.append(cross)
        return twin


def _rows(x: Tensor, index: Tensor, length: int) -> Tensor:
    """Rows of x [B, K, capacity, D]; what lies past `length` is not copied."""
    chosen = x.new_empty(index.shape[0], *x.shape[1:])
    chosen[:, :, :length] = _picked(x[:, :, :length], index)
    return chosen


def _picked(x: Tensor, index: Tensor) -> Tensor:
    """Rows of x; layers may be on several devices, the index is on one."""
    return x.index_select(0, index.to(x.device))


def as_cache(past: Any) -> Cache:
    """`past_key_values` in any accepted form as a Cache."""
    if isinstance(past, Cache):
        return past
    if isinstance(past, tuple | list) and all(isinstance(part, Tensor) for layer in past
                                              for part in layer):
        return Cache.from_legacy_cache(past)
    raise TypeError(f"past_key_values is of type {type(past).__name__}, expected a Cache or a "
                    "tuple of (key, value). Do: pass on what the model returned, or "
                    "enfold.DynamicCache()")
