"""A mixture of experts: each token goes through the few feed-forwards that a router picks for it.

Shazeer et al. (https://arxiv.org/abs/1701.06538), Mixtral (https://arxiv.org/abs/2401.04088).
The experts' weights are stacked.  Tokens are sorted by expert, so that each expert that has some
multiplies them at once; the others cost nothing.

N tokens, D width, E experts, K experts of a token, F width inside an expert
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold import spec
from enfold.nn.act import activation
from enfold.nn.branch import Branch
from enfold.nn.context import Context
from enfold.nn.linear import Linear, product
from enfold.nn.mlp import FeedForward, gated

Added = Callable[[int, Tensor], Tensor]  # (expert, its inputs) -> what is added to their product
NOTHING: Mapping[str, Added] = MappingProxyType({})


class Mixture(Branch):
    """The Module of `spec.MoE`.  [B, T, D] in and out."""

    def __init__(self, spec: spec.MoE, dim: int, block: spec.Block) -> None:
        super().__init__(spec, dim, block)
        self.spec = spec
        self.router = Router(spec.router, dim)
        self.experts = Experts(spec.expert, spec.router.experts, dim)
        if spec.shared is not None:
            self.shared = FeedForward(spec.shared, dim, replace(block, norm_at=()))
            self.shared_gate = Linear(dim, 1, bias=False)

    def mix(self, h: Tensor, ctx: Context) -> Tensor:
        h, logits = self.routed(h)
        if ctx.trace.routers is not None:
            ctx.trace.routers.append(logits)
        return h

    def routed(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """(the mixture's output [B, T, D], the router's logits [N, E]) of h [B, T, D]."""
        x, jitter = h.reshape(-1, h.shape[-1]), self.spec.router.jitter
        if jitter and self.training:
            x = x * torch.empty_like(x).uniform_(1 - jitter, 1 + jitter)
        logits, shares, chosen = self.router(x)
        y = self.experts(x, shares, chosen)
        if self.spec.shared is not None:
            common = self.shared.down(self.shared.inner(x))
            y = y + torch.sigmoid(self.shared_gate(x)) * common
        return y.view(h.shape), logits


class Router(nn.Module):
    """Picks the experts of each token."""

    bias: None = None

    def __init__(self, spec: spec.Router, dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(spec.experts, dim))

    def forward(self, x: Tensor,
                added: Mapping[str, Added] = NOTHING) -> tuple[Tensor, Tensor, Tensor]:
        """(logits [N, E], shares [N, K] in fp32, experts [N, K]) of x [N, D].

        added: what adapters add, by the parameter's name.
        """
        logits = F.linear(x, self.weight)
        if (more := added.get("weight")) is not None:
            logits = logits + more(0, x).to(logits.dtype)
        shares, chosen = logits.softmax(-1, dtype=torch.float32).topk(self.spec.top_k, -1)
        if self.spec.renorm:
            shares = shares / shares.sum(-1, keepdim=True)
        return logits, shares, chosen

    def extra_repr(self) -> str:
        return f"experts={self.spec.experts}, top_k={self.spec.top_k}"


class Experts(nn.Module):
    """Gated feed-forwards, their weights stacked under the names they have in transformers."""

    native = True
    bias: None = None

    def __init__(self, spec: spec.MLP, count: int, dim: int) -> None:
        super().__init__()
        self.act, self.count = activation(spec.act), count
        self.dim, self.hidden = dim, spec.hidden
        self.gate_up_proj = nn.Parameter(torch.empty(count, 2 * spec.hidden, dim))
        self.down_proj = nn.Parameter(torch.empty(count, dim, spec.hidden))

    def forward(self, x: Tensor, shares: Tensor, chosen: Tensor,
                added: Mapping[str, Added] = NOTHING) -> Tensor:
        """The sum of each token's experts [N, D], of x [N, D], shares and chosen [N, K]."""
        experts, places = chosen.reshape(-1), chosen.shape[-1]
        order = experts.argsort(stable=True)
        counts = torch.bincount(experts, minlength=self.count).tolist()
        done = self.outputs(torch.split(x[order // places], counts), added)
        y = torch.cat(done)[order.argsort()].view(*chosen.shape, -1)
        mixed: Tensor = (y * shares[..., None]).sum(1)
        return mixed.to(x.dtype)

    def outputs(self, rows: tuple[Tensor, ...], added: Mapping[str, Added]) -> list[Tensor]:
        """Those of the experts that have tokens, of the tokens [n, D] of each."""
        first, second = self.gate_up_proj.unbind(0), self.down_proj.unbind(0)
        return [self._one(number, taken, first[number], second[number], added)
                for number, taken in enumerate(rows) if len(taken)]

    def _one(self, number: int, x: Tensor, gate_up: Tensor, down: Tensor,
             added: Mapping[str, Added]) -> Tensor:
        """One expert's output [n, D] of its tokens [n, D]."""
        h = product(self, x, gate_up)
        if (more := added.get("gate_up_proj")) is not None:
            h = h + more(number, x).to(h.dtype)
        h = gated(self, *h.chunk(2, -1))
        y = product(self, h, down)
        if (more := added.get("down_proj")) is not None:
            y = y + more(number, h).to(y.dtype)
        return y

    def extra_repr(self) -> str:
        return f"{self.count} x ({self.dim} -> {self.hidden} -> {self.dim})"


class SingleExperts(Experts):
    """Experts as linear layers of their own, `0.gate`, `0.up`, `0.down`, ...: so that each can be
    stored in fewer bits.
    """

    def __init__(self, stacked: Experts) -> None:
        nn.Module.__init__(self)
        self.act, self.count = stacked.act, stacked.count
        self.dim, self.hidden = stacked.dim, stacked.hidden
        for number in range(self.count):
            self.add_module(str(number), nn.ModuleDict({
                "gate": Linear(self.dim, self.hidden, bias=False),
                "up": Linear(self.dim, self.hidden, bias=False),
                "down": Linear(self.hidden, self.dim, bias=False)}))

    def outputs(self, rows: tuple[Tensor, ...], added: Mapping[str, Added]) -> list[Tensor]:
        return [self._single(self._modules[str(number)], taken)
                for number, taken in enumerate(rows) if len(taken)]

    def _single(self, expert: Any, x: Tensor) -> Tensor:
        h = gated(self, expert["gate"](x), expert["up"](x))
        return expert["down"](h)  # type: ignore[no-any-return]
