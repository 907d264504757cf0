"""A new LoRA adapter out of others: sums, and the ways to keep them from cancelling out.

    linear              A = sum a_i A_i, B = sum b_i B_i with a_i b_i = w_i s_i: cheap, not a sum
    cat                 A_i stacked, B_i side by side: the exact sum, ranks add up
    svd                 the exact sum, cut to svd_rank
    ties                the largest of each, then only those of the sign that prevails
                        (https://arxiv.org/abs/2306.01708)
    dare_linear, dare_ties      random ones of each, made larger (https://arxiv.org/abs/2311.03099)
    magnitude_prune     the largest of each, then the sum
    ..._svd             the same on the products B A instead of A and B

A [r, I], B [O, r], n adapters
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from enfold.adapt.adapters import Adapters
from enfold.adapt.lora.config import LoraConfig
from enfold.adapt.lora.delta import EmbeddingLora
from enfold.errors import InputError

PRUNED = ("ties", "dare_linear", "dare_ties", "magnitude_prune")
KINDS = ("linear", "cat", "svd", *PRUNED, *(f"{kind}_svd" for kind in PRUNED))


@dataclass(frozen=True, slots=True)
class Way:
    """How adapters are put together."""

    kind: str
    density: float | None = None
    majority: str = "total"
    clamp: float | None = None
    full_matrices: bool = True
    driver: str | None = None

    def mix(self, tensors: list[Tensor], weights: Tensor) -> Tensor:
        """The weighted sum of tensors, after what the kind leaves of each."""
        kind = self.kind.removesuffix("_svd")
        if kind in PRUNED:
            chosen = at_random if kind.startswith("dare") else largest
            tensors = [chosen(tensor, self.density or 0.0) for tensor in tensors]
        stacked = torch.stack(tensors)
        weighted = stacked * weights.view(-1, *[1] * (stacked.dim() - 1)).to(stacked)
        if not kind.endswith("ties"):
            return weighted.sum(0)
        sums = stacked.sum(0) if self.majority == "total" else stacked.sign().sum(0)
        agree = stacked.sign() == torch.where(sums >= 0, 1, -1)
        return (weighted * agree).sum(0) / agree.sum(0).clamp(min=1)


@torch.no_grad()
def add_weighted_adapter(adapters: Adapters, names: Sequence[str], weights: Sequence[float],
                         adapter_name: str, combination_type: str = "svd",
                         svd_rank: int | None = None, svd_clamp: float | None = None,
                         svd_full_matrices: bool = True, svd_driver: str | None = None,
                         density: float | None = None,
                         majority_sign_method: str = "total") -> None:
    """Add an adapter out of others, each with a weight; it is used after `set_adapter`.

    combination_type: see above.  svd_rank: the rank to cut to, by default the largest; svd_clamp:
    the quantile to clamp its factors to.  density: the share that is left of each (all but
    linear, cat, svd).  majority_sign_method: "total" or "frequency", which sign prevails.
    """
    kind = "linear" if len(names) == 1 else combination_type
    way = Way(kind, density, majority_sign_method, svd_clamp, svd_full_matrices, svd_driver)
    configs = _check(adapters, names, weights, way)
    ranks = [max([config.r, *config.rank_pattern.values()]) for config in configs]
    if not kind.endswith(("svd", "cat")) and len(set(ranks)) > 1:
        raise InputError(f"add_weighted_adapter: combination_type={kind!r} takes adapters of one "
                         f"rank, got {ranks}. Do: use 'cat' or 'svd'")
    rank = sum(ranks) if kind == "cat" else (svd_rank or max(ranks)) if kind.endswith("svd") \
        else ranks[0]
    adapters.add(adapter_name, replace(
        configs[0], r=rank, lora_alpha=rank, use_rslora=False, rank_pattern={}, alpha_pattern={},
        init_lora_weights=True,
        loftq_config={}, target_modules=_targets(adapters, names, configs), exclude_modules=None,
        layers_to_transform=None, layers_pattern=None))
    for layer in adapters.layers.values():
        if adapter_name not in layer.deltas:
            continue
        pairs = [(layer.deltas[name], weight) for name, weight in zip(names, weights, strict=True)
                 if name in layer.deltas]
        _fill(layer.deltas[adapter_name], pairs, way)
    for keeper in adapters.kept.values():
        held = [name for name in names if name in keeper.modules_to_save]
        if held and adapter_name in keeper.modules_to_save:
            keeper.modules_to_save[adapter_name].load_state_dict(
                keeper.modules_to_save[held[0]].state_dict())
    adapters.require_grad(adapter_name, False)


def _fill(goal: Any, pairs: list[tuple[Any, float]], way: Way) -> None:
    """The matrices of the new adapter at one layer."""
    into_a, into_b = matrices(goal)
    weights = [weight for _, weight in pairs]
    if way.kind == "cat":
        a = torch.cat([matrices(delta)[0] * weight * delta.scaling for delta, weight in pairs], 0)
        b = torch.cat([matrices(delta)[1] for delta, _ in pairs], 1)
    elif way.kind.endswith("svd"):
        products = [_product(delta) * delta.scaling for delta, _ in pairs]
        a, b = _cut(way.mix(products, torch.tensor(weights)), into_a.shape[0], way)
    else:
        shares = torch.tensor([weight * delta.scaling for delta, weight in pairs])
        root = shares.abs().sqrt()
        firsts, seconds = zip(*(matrices(delta) for delta, _ in pairs), strict=True)
        a = way.mix(list(firsts), root * torch.where(shares >= 0, 1.0, -1.0))
        b = way.mix(list(seconds), root)
    into_a.zero_()[: a.shape[0]] = a
    into_b.zero_()[:, : b.shape[1]] = b


def _cut(product: Tensor, rank: int, way: Way) -> tuple[Tensor, Tensor]:
    """A and B of the best approximation of a rank."""
    u, s, vh = torch.linalg.svd(product, full_matrices=way.full_matrices, driver=way.driver)
    b, a = u[:, :rank] * s[:rank], vh[:rank]
    if way.clamp is not None:
        top = float(torch.quantile(torch.cat([b.flatten(), a.flatten()]), way.clamp))
        b, a = b.clamp(-top, top), a.clamp(-top, top)
    return a[: s.numel()], b


def matrices(delta: Any) -> tuple[Tensor, Tensor]:
    """A [r, I] and B [O, r]."""
    if isinstance(delta, EmbeddingLora):
        return delta.lora_embedding_A, delta.lora_embedding_B
    return delta.lora_A.weight, delta.lora_B.weight


def _product(delta: Any) -> Tensor:
    a, b = matrices(delta)
    return b @ a


def largest(tensor: Tensor, density: float) -> Tensor:
    """The share `density` of the largest numbers, zeros elsewhere."""
    count = int(density * tensor.numel())
    kept = torch.zeros_like(tensor).flatten()
    kept[tensor.abs().flatten().topk(count).indices] = 1
    return tensor * kept.view_as(tensor)


def at_random(tensor: Tensor, density: float) -> Tensor:
    """A random share `density` of the numbers, larger by its inverse; zeros elsewhere."""
    return tensor * torch.bernoulli(torch.full_like(tensor, density)) / density


def _check(adapters: Adapters, names: Sequence[str], weights: Sequence[float],
           way: Way) -> list[LoraConfig]:
    function = "add_weighted_adapter"
    if way.kind not in KINDS:
        raise InputError(f"{function}: combination_type is {way.kind!r}, expected one of "
                         f"{', '.join(KINDS)}. Do: give one of these")
    if not names or len(names) != len(weights):
        raise InputError(f"{function}: got {len(names)} adapters and {len(weights)} weights. Do: "
                         "give a weight for each adapter")
    needed = way.kind.removesuffix("_svd") in PRUNED
    if needed and not 0 < (way.density or 0) <= 1:
        raise InputError(f"{function}: density is {way.density!r}, expected a number in (0, 1] "
                         f"for {way.kind!r}. Do: give the share to keep, such as 0.5")
    if way.majority not in ("total", "frequency"):
        raise InputError(f"{function}: majority_sign_method is {way.majority!r}, expected 'total' "
                         "or 'frequency'. Do: give one of these")
    for name in names:
        adapters.check(name)
        config = adapters.configs[name]
        if not isinstance(config, LoraConfig) or config.use_dora or config.lora_bias \
                or config.target_parameters:
            raise NotImplementedError(f"{function}: {name!r} is not a plain LoRA adapter. Do: "
                                      "merge the adapters one after the other")
    for path, keeper in adapters.kept.items():
        if sum(name in keeper.modules_to_save for name in names) > 1:
            raise InputError(f"{function}: several of {list(names)} have a copy of {path!r} in "
                             "modules_to_save. Do: combine adapters that don't")
    return [adapters.configs[name] for name in names]


def _targets(adapters: Adapters, names: Sequence[str], configs: list[LoraConfig]) -> Any:
    """Patterns for the layers of any of the adapters."""
    given = [config.target_modules for config in configs]
    narrowed = any(config.exclude_modules or config.layers_to_transform is not None
                   for config in configs)
    if not narrowed and all(isinstance(value, str) for value in given):
        return "|".join(f"({value})" for value in given)
    if not narrowed and all(isinstance(value, set) for value in given):
        return set().union(*given)
    return {path for path, layer in adapters.layers.items()
            if any(name in layer.deltas for name in names)}
