"""The small parts against transformers' own: activations, norms, buckets, fused layouts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.t5.modeling_t5 import T5Attention

import enfold
from enfold.errors import InputError
from enfold.nn.act import ACTIVATIONS, activation
from enfold.nn.attention import SelfAttention
from enfold.nn.buckets import bucket
from enfold.nn.context import Context
from enfold.nn.embed import sinusoid
from enfold.nn.norm import norm
from enfold.nn.outputs import CausalLMOutput
from enfold.spec import Attention, Block, Buckets, Norm


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name])
def test_activations(name: str) -> None:
    x = torch.linspace(-8, 8, 401)
    assert torch.allclose(activation(name)(x), ACT2FN[name](x), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rms_norm(dtype: torch.dtype) -> None:
    theirs = LlamaRMSNorm(16, 1e-5)
    ours = norm(Norm(eps=1e-5), 16)
    with torch.no_grad():
        theirs.weight.normal_()
        ours.weight.copy_(theirs.weight)
    x = torch.randn(3, 16, dtype=dtype)
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    assert torch.allclose(ours(x), theirs(x), rtol=1e-6, atol=1e-6)


def test_norm_options() -> None:
    x = torch.randn(4, 8)
    offset = norm(Norm(offset=1.0), 8)
    with torch.no_grad():
        offset.weight.fill_(0.5)
    bare = norm(Norm(affine=False), 8)
    assert torch.allclose(offset(x), 1.5 * bare(x))
    assert norm(Norm("layer", bias=False), 8).bias is None
    assert repr(offset) == "RMSNorm(8, eps=1e-06)"


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets(bidirectional: bool) -> None:
    distance = torch.arange(-300, 300)
    spec = Buckets(32, 128, bidirectional)
    theirs = T5Attention._relative_position_bucket(distance, bidirectional, 32, 128)
    assert torch.equal(bucket(distance, spec), theirs)


@pytest.mark.parametrize("dim", [8, 7])
def test_sinusoids(dim: int) -> None:
    theirs = MarianSinusoidalPositionalEmbedding(40, dim)
    assert torch.allclose(sinusoid(40, dim), theirs.create_weight(), atol=1e-6)


@pytest.mark.parametrize(("layout", "kv_heads"), [
    ("concat", 4), ("concat", 1), ("concat", 2), ("per_head", 4), ("per_group", 2),
    ("per_group", 4)])
def test_fused_layouts_are_the_split_ones_rearranged(layout: str, kv_heads: int) -> None:
    heads, dim, head_dim = 4, 16, 5
    common: dict[str, Any] = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim,
                              "bias": "qkvo"}
    block = Block((), Norm())
    split = SelfAttention(Attention(**common), dim, block, 0)
    fused = SelfAttention(Attention(**common, fused=layout), dim, block, 0)
    group = heads // kv_heads
    rows = []
    for leaf in ("weight", "bias"):
        q, k, v = (getattr(getattr(split, name), leaf).unflatten(0, (-1, head_dim))
                   for name in "qkv")
        if layout == "concat":
            rows = [*q, *k, *v]
        else:
            rows = [part for i in range(kv_heads)
                    for part in (*q[i * group : (i + 1) * group], k[i], v[i])]
        getattr(fused.qkv, leaf).data = torch.cat(list(rows))
    x = torch.randn(2, 3, dim)
    for mine, wanted in zip(fused.project(x), split.project(x), strict=True):
        assert torch.allclose(mine, wanted, atol=1e-6)


def test_context_shares_masks() -> None:
    ctx = Context(torch.arange(5)[None], 5, 0, torch.float32, torch.tensor([[0, 1, 1, 1, 1]]))
    first = ctx.mask(Attention(2, 2, 4))
    assert ctx.mask(Attention(4, 2, 8, bias="q")) is first
    assert ctx.mask(Attention(2, 2, 4, window=2)) is not first


def test_outputs() -> None:
    out = CausalLMOutput(logits=torch.ones(1), loss=None, attentions=(1, 2))
    assert list(out) == ["logits", "attentions"] and out.loss is None and out["logits"] is out[0]
    assert out[1:] == ((1, 2),) and out.to_tuple()[0] is out.logits
    out.loss = torch.zeros(1)
    assert "loss" in out and len(out) == 3
    out.loss = None
    assert "loss" not in out
    with pytest.raises(AttributeError, match="has no field 'logit'"):
        out.logit  # noqa: B018
    a, b = CausalLMOutput(logits=1, attentions=2).values()
    assert (a, b) == (1, 2)


def test_segments_that_a_model_does_not_know_raise() -> None:
    model = enfold.DistilBertModel(enfold.DistilBertConfig(
        vocab_size=9, dim=8, hidden_dim=8, n_layers=1, n_heads=2, max_position_embeddings=6)).eval()
    ids, types = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 0, 1]])
    plain = model(ids).last_hidden_state
    assert torch.equal(model(ids, token_type_ids=0 * types).last_hidden_state, plain)
    with pytest.raises(InputError, match="token_type_ids mark two segments, but the model knows "
                                         "none. Do: leave them out"):
        model(ids, token_type_ids=types)
