"""OFT (https://arxiv.org/abs/2306.07280): blocks of a layer's inputs are rotated.

    y = W (R x)      R [I, I] block diagonal, block = (1 - Q) / (1 + Q), Q skew: Cayley

The inverse may be a sum of powers of Q (Neumann).  Q is held as the numbers above its diagonal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from enfold.adapt.config import LayerConfig, PeftType, configuration
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.delta import wide
from enfold.adapt.registry import METHODS, Method
from enfold.errors import ConfigError


@configuration
class OFTConfig(LayerConfig):
    """OFT.

    oft_block_size: the width of a block, or r: their number, the other zero; what does not divide
    a layer's inputs becomes the nearest number that does.  block_share: one rotation for all
    blocks.  use_cayley_neumann: num_cayley_neumann_terms powers, not an inverse.  coft: rotations
    stay within eps.  bias: "none", "all" or "oft_only".  init_weights=False starts from random
    rotations.  fan_in_fan_out is read off the layer.
    """

    r: int = 0
    oft_block_size: int = 32
    module_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True
    coft: bool = False
    eps: float = 6e-5
    block_share: bool = False
    use_cayley_neumann: bool = True
    num_cayley_neumann_terms: int = 5

    METHOD: ClassVar[PeftType | None] = PeftType.OFT
    NOT_BUILT: ClassVar[Mapping[str, str]] = {"module_dropout": "leave it out"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.r == 0) == (self.oft_block_size == 0) or min(self.r, self.oft_block_size) < 0:
            raise ConfigError(f"OFTConfig: r is {self.r} and oft_block_size {self.oft_block_size}, "
                              "expected one of them and the other zero. Do: give "
                              "oft_block_size=32, or r=8 with oft_block_size=0")
        if self.bias not in ("none", "all", "oft_only"):
            raise ConfigError(f"OFTConfig: bias is {self.bias!r}, expected 'none', 'all' or "
                              "'oft_only'. Do: give one of these")


class Skew(nn.Module):
    """Numbers above the diagonal of skew matrices, [blocks, s (s - 1) / 2]."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)


class OFT(Delta):
    """OFT at one layer."""

    changes_input = True

    def __init__(self, layer: Adapted, name: str, config: OFTConfig, path: str) -> None:
        super().__init__(layer, name)
        inputs, where = layer.sizes()[0], wide(layer)
        if config.r:
            self.blocks = nearest_divisor(inputs, config.r)
        else:
            self.blocks = inputs // nearest_divisor(inputs, config.oft_block_size)
        self.size, self.config = inputs // self.blocks, config
        held = (1 if config.block_share else self.blocks, self.size * (self.size - 1) // 2)
        weight = torch.zeros(held, **where)
        self.put("oft_R", Skew(weight if config.init_weights else weight.normal_(std=0.1)))

    def before(self, x: Tensor) -> Tensor:
        rotation = self.rotation()
        blocks = x.to(rotation.dtype).view(*x.shape[:-1], self.blocks, self.size)
        turned = torch.einsum("...rk,rkc->...rc", blocks, rotation.expand(self.blocks, -1, -1))
        return turned.flatten(-2).to(x.dtype)

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        return y

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight @ self._whole().t().to(weight.dtype), bias

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight @ torch.linalg.inv(self._whole()).t().to(weight.dtype), bias

    def _whole(self) -> Tensor:
        whole: Tensor = torch.block_diag(  # type: ignore[no-untyped-call]
            *self.rotation().expand(self.blocks, -1, -1))
        return whole

    def rotation(self) -> Tensor:
        """The rotations [blocks, s, s]."""
        config, above = self.config, self.oft_R.weight
        if config.coft:
            with torch.no_grad():
                above.copy_(_within(above, config.eps))
        skew = _matrices(above, self.size)
        if config.use_cayley_neumann:
            return neumann(skew, config.num_cayley_neumann_terms)
        one = torch.eye(self.size, device=skew.device, dtype=skew.dtype)
        return torch.linalg.solve(one + skew, one - skew, left=False)  # type: ignore[no-any-return]


def neumann(skew: Tensor, terms: int) -> Tensor:
    """1 + 2 Q + 2 Q^2 + ... + Q^(terms - 1), near a rotation for small Q [B, s, s]."""
    made = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype).expand_as(skew)
    if terms < 2:
        return made
    made = made + 2 * skew
    if terms == 2:
        return made
    power = skew @ skew
    made = made + 2 * power
    for _ in range(3, terms - 1):
        power = power @ skew
        made = made + 2 * power
    return made + power @ skew


def _matrices(above: Tensor, size: int) -> Tensor:
    """Skew matrices [B, s, s] of the numbers above their diagonals."""
    rows, columns = torch.triu_indices(size, size, 1, device=above.device)
    whole = above.new_zeros(len(above), size, size)
    whole[:, rows, columns] = above
    return whole - whole.transpose(1, 2)


def _within(above: Tensor, eps: float) -> Tensor:
    """Numbers whose skew matrices are no longer than eps / sqrt(blocks)."""
    most = eps / len(above)**0.5
    length = (2 * above.square().sum(1, keepdim=True)).sqrt()
    return torch.where(length <= most, above, above * (most / length))


def nearest_divisor(size: int, wanted: int) -> int:
    """The divisor of size that is nearest to a number, the smaller of two."""
    return min((d for d in range(1, size + 1) if size % d == 0), key=lambda d: abs(d - wanted))


METHODS[PeftType.OFT] = Method(OFTConfig, OFT, layers=(nn.Linear,))
