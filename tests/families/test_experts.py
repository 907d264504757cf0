"""Mixtures of experts: routers' logits and loss, the sorted products, decoding, messages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.errors import InputError
from enfold.nn.context import Context
from enfold.nn.losses import balance
from enfold.nn.moe import Experts, Mixture, Router
from enfold.nn.tokens import only_loss
from enfold.spec import MLP, Block, MoE, Norm
from enfold.spec import Router as RouterSpec
from tests.families.pairs import close, fresh, pair, same_outputs
from tests.families.test_training import compare_gradients
from tests.families.tiny import TINY

SPARSE = [kind for kind in TINY if pair(kind, "Model").ours.pieces]


@pytest.mark.parametrize("side", [None, "left", "right"])
@pytest.mark.parametrize("kind", SPARSE)
def test_routers(kind: str, side: str | None) -> None:
    """Logits, the loss of uneven use without padding, and its gradients."""
    both = fresh(kind, "ForCausalLM", router_aux_loss_coef=0.7)
    given = both.inputs(side, batch=3)
    given |= {"labels": given["input_ids"], "output_router_logits": True}
    ours, theirs = both.ours(**given), both.theirs(**given)
    assert list(ours) == list(theirs)
    for name in ("loss", "aux_loss"):
        close(ours[name], theirs[name])
    mask = given.get("attention_mask", torch.ones(3, 9)).bool().flatten()
    for got, wanted in zip(ours.router_logits, theirs.router_logits, strict=True):
        close(got[mask], wanted[mask])
    with only_loss():
        close(both.ours(**given).loss, theirs.loss)
    ours.loss.backward()
    theirs.loss.backward()
    compare_gradients(both)


@pytest.mark.parametrize("kind", SPARSE)
def test_routers_of_the_body(kind: str) -> None:
    both = pair(kind, "Model")
    given = both.inputs() | {"output_router_logits": True}
    with torch.no_grad():
        same_outputs(both.ours(**given), both.theirs(**given))
        assert "router_logits" not in both.ours(**both.inputs())


def test_what_has_no_routers_says_so() -> None:
    given = pair("mixtral", "ForSequenceClassification").inputs() | {"output_router_logits": True}
    with pytest.raises(InputError, match="ForSequenceClassification got output_router_logits=True, "
                                         "but its head returns no router logits. Do: leave it out"):
        pair("mixtral", "ForSequenceClassification").ours(**given)
    with pytest.raises(InputError, match="LlamaForCausalLM .* it has no router logits"):
        pair("llama", "ForCausalLM").ours(**given)
    model = fresh("mixtral", "ForCausalLM").ours.train()
    model.gradient_checkpointing_enable({"use_reentrant": True})
    with pytest.raises(InputError, match="use_reentrant=True loses the gradients of the routers'"):
        model(**given)
    assert model(given["input_ids"], output_router_logits=False).logits is not None


def naive(layer: Mixture, x: Tensor) -> Tensor:
    """Token by token."""
    out = torch.zeros_like(x)
    for row, token in enumerate(x):
        shares = (layer.router.weight @ token).softmax(0)
        best = shares.topk(layer.router.spec.top_k)
        for share, expert in zip(best.values, best.indices, strict=True):
            if layer.router.spec.renorm:
                share = share / best.values.sum()
            gate, up = (layer.experts.gate_up_proj[expert] @ token).chunk(2)
            out[row] += share * (layer.experts.down_proj[expert] @ (F.silu(gate) * up))
    return out


def mixture(tokens: int, experts: int, places: int, *, renorm: bool = True, dim: int = 12,
            dtype: torch.dtype = torch.float64, jitter: float = 0.0) -> tuple[Mixture, Tensor]:
    torch.manual_seed(tokens + 10 * experts + places)
    spec = MoE(RouterSpec(experts, places, renorm, jitter), MLP(2 * dim))
    layer = Mixture(spec, dim, Block((spec,), Norm(), norm_at=())).to(dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape) / dim**0.5)
    return layer.eval(), torch.randn(1, tokens, dim, dtype=dtype)


def context(x: Tensor) -> Context:
    return Context(torch.arange(x.shape[1])[None], x.shape[1], 0, x.dtype)


@pytest.mark.parametrize("renorm", [True, False])
@pytest.mark.parametrize(("tokens", "experts", "places"), [
    (1, 1, 1), (1, 8, 2), (2, 8, 8), (7, 3, 1), (40, 4, 2), (5, 64, 3)])
def test_sorted_products(tokens: int, experts: int, places: int, renorm: bool) -> None:
    layer, x = mixture(tokens, experts, places, renorm=renorm)
    wanted = naive(layer, x[0])
    close(layer.mix(x, context(x))[0], wanted, 1e-6)  # shares are fp32
    got, reference = (torch.autograd.grad(out.square().sum(), list(layer.parameters()))
                      for out in (layer.mix(x, context(x)), wanted))
    scale = max(float(theirs.abs().max()) for theirs in reference)
    for ours, theirs in zip(got, reference, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-6 * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 3, 50])
def test_native_products(tokens: int, dtype: torch.dtype) -> None:
    layer, x = mixture(tokens, 4, 2, dim=256, dtype=dtype)
    wanted = naive(layer.float(), x[0].float())
    layer.to(dtype)
    with torch.no_grad():
        ours = layer.mix(x, context(x))[0]
        layer.experts.native = False
        plain = layer.mix(x, context(x))[0]
    bound = 1e-5 if dtype == torch.float32 else 2e-2
    close(ours.float(), wanted, bound)
    close(plain.float(), wanted, bound)


def test_jitter_in_training_alone() -> None:
    layer, x = mixture(5, 4, 2, jitter=0.3)
    still = layer.mix(x, context(x))
    assert torch.equal(still, layer.mix(x, context(x)))
    before, moved = x.clone(), layer.train().mix(x, context(x))
    assert not torch.allclose(moved, still) and torch.equal(x, before)
    assert not torch.equal(moved, layer.mix(x, context(x)))


def test_balance_is_least_where_experts_are_used_alike() -> None:
    even, uneven = torch.eye(4).repeat(3, 1), torch.eye(4)[[0] * 12]
    assert float(balance([even * 9, even * 9], 1)) == pytest.approx(1.0, abs=0.01)
    assert float(balance([uneven * 9], 1)) > 3.9
    mask = torch.tensor([[1] * 4 + [0] * 8])
    close(balance([torch.cat((even[:4], uneven[:8]))], 2, mask), balance([even[:4]], 2))


@pytest.mark.parametrize("kind", SPARSE)
def test_generation_is_theirs_and_by_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both = fresh(kind, "ForCausalLM")
    ids = both.inputs()["input_ids"][:, :5].clamp_min(4)
    options: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None}
    wanted = both.theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
    assert both.ours.generate(input_ids=ids, **options).tolist() == wanted.tolist()
    cache = both.ours.new_cache(2, 20)
    both.ours(ids, past_key_values=cache)
    assert both.ours.stepper(cache) is not None


def test_what_people_look_at() -> None:
    model = fresh("mixtral", "ForCausalLM").ours
    block = model.model.layers[0].mlp
    assert type(block.experts) is Experts and type(block.gate) is Router
    assert block.experts.gate_up_proj.shape == (4, 80, 32)
    assert "Experts(4 x (32 -> 40 -> 32))" in str(model)
    assert "MoE()" in str(model.spec) and "Router(experts=4, top_k=2)" in str(model.spec)
    seen: list[Tensor] = []
    hook = block.gate.register_forward_hook(lambda module, given, output: seen.append(output[0]))
    model.generate(pair("mixtral", "ForCausalLM").inputs()["input_ids"], max_new_tokens=2)
    assert [len(logits) for logits in seen] == [18, 2]
    hook.remove()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert model(**pair("mixtral", "ForCausalLM").inputs()).logits.isfinite().all()
