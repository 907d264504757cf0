"""Q4_0 and Q8_0 kept in their bits: a GGUF file as a compressed-tensors checkpoint.

Both are groups of 32 numbers around zero with a scale in half precision, which is what
compressed-tensors calls pack-quantized: codes [O, I / 8 or I / 4] int32, the first in the lowest
bits; scales [O, I / 32].  Only the order of the codes changes, so the numbers are the same bit for
bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enfold.models.gguf.checkpoint import GGUFTensors, unpaired

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BITS = {"Q4_0": 4, "Q8_0": 8}
GROUP = 32
LEAVES = ("weight_packed", "weight_scale", "weight_shape")


class PackedTensors(GGUFTensors):
    """One file, whose linear layers of these kinds have packed tensors in place of a weight.

    `layers`: their names -> kind.
    """

    layers: dict[str, str]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.layers = {}
        for key, (name, ours) in self._held.items():
            kind, layer = self._file.kind(name), key.removesuffix(".weight")
            if kind in BITS and ours and layer != key and not ours.startswith("body.embed"):
                self.layers[layer] = kind

    def keys(self) -> list[str]:
        plain = [key for key in self._held if key.removesuffix(".weight") not in self.layers]
        return [*plain, *(f"{layer}.{leaf}" for layer in self.layers for leaf in LEAVES)]

    def shape(self, key: str) -> tuple[int, ...]:
        layer, leaf = self._place(key)
        if layer is None:
            return super().shape(key)
        outputs, inputs = self._file.shape(self._held[f"{layer}.weight"][0])
        codes = inputs * BITS[self.layers[layer]] // 32
        return {"weight_packed": (outputs, codes), "weight_scale": (outputs, inputs // GROUP),
                "weight_shape": (2,)}[leaf]

    def dtype(self, key: str) -> torch.dtype:
        import torch

        layer, leaf = self._place(key)
        if layer is None:
            return super().dtype(key)
        return {"weight_packed": torch.int32, "weight_scale": torch.float16,
                "weight_shape": torch.int64}[leaf]

    def nbytes(self, key: str) -> int:
        if self._place(key)[0] is None:
            return super().nbytes(key)
        size = self.dtype(key).itemsize
        for count in self.shape(key):
            size *= count
        return size

    def get(self, key: str) -> Tensor:
        import torch

        layer, leaf = self._place(key)
        if layer is None:
            return super().get(key)
        name, ours = self._held[f"{layer}.weight"]
        outputs, inputs = self._file.shape(name)
        if leaf == "weight_shape":
            return torch.tensor([outputs, inputs])
        blocks = self._file.raw(name).view(outputs, inputs // GROUP, -1)
        if leaf == "weight_scale":
            found = blocks[..., :2].contiguous().view(torch.float16).view(outputs, -1)
        else:
            found = codes(blocks[..., 2:], BITS[self.layers[layer]])
        self._file.release(name)
        heads = self._heads(ours)
        return unpaired(found, heads) if heads else found

    def release(self, key: str) -> None:
        layer, _ = self._place(key)
        super().release(key if layer is None else f"{layer}.weight")

    def fetch(self, key: str) -> None:
        layer, _ = self._place(key)
        super().fetch(key if layer is None else f"{layer}.weight")

    def _place(self, key: str) -> tuple[str | None, str]:
        """(layer, leaf) of a packed tensor."""
        layer, _, leaf = key.rpartition(".")
        return (layer, leaf) if layer in self.layers and leaf in LEAVES else (None, "")


def codes(data: Tensor, bits: int) -> Tensor:
    """The codes of blocks [O, G, bytes] in the order of their numbers: int32 [O, I * bits / 32]."""
    import torch

    if bits == 8:  # signed there, 128 more here
        return (data ^ 128).reshape(len(data), -1).view(torch.int32)
    number = torch.cat([data & 15, data >> 4], -1)
    pairs: Tensor = number[..., ::2] | (number[..., 1::2] << 4)
    return pairs.reshape(len(data), -1).view(torch.int32)


def stored_config(layers: dict[str, str]) -> dict[str, Any]:
    """config.json's `quantization_config` of layers by kind."""
    def weights(kind: str) -> dict[str, Any]:
        return {"num_bits": BITS[kind], "type": "int", "symmetric": True, "strategy": "group",
                "group_size": GROUP}

    kinds = sorted(set(layers.values()))
    groups = {f"group_{place}": {"targets": [name for name in layers if layers[name] == kind],
                                 "weights": weights(kind)} for place, kind in enumerate(kinds)}
    return {"quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": groups}
