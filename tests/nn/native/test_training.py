"""Native passes with gradients against fp64, at every level of this machine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import enfold
from enfold.nn.act import ACTIVATIONS
from enfold.nn.native import attention_training, training
from enfold.nn.native.attention import Seen
from enfold.nn.native.library import levels, using
from enfold.nn.rope import cos_sin
from enfold.nn.rope import rotate as plain
from enfold.spec import Rope
from tests.families.tiny import TINY

LEVELS = pytest.mark.parametrize("level", levels())
SIZES = st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 16, 31, 100, 768]))
QUICK = settings(max_examples=10, deadline=None)
NEAR = {"rtol": 1e-5, "atol": 1e-5}


class Module:
    native = True


@pytest.fixture(autouse=True)
def _however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LEAST", 0)


def both(ours, exact, *sizes, scale=1.0):
    """Outputs and gradients of ours in fp32, and of the same in fp64."""
    given_ = [torch.randn(size) * scale for size in sizes]
    found = []
    for function, dtype in ((ours, torch.float32), (exact, torch.float64)):
        leaves = [x.to(dtype).requires_grad_() for x in given_]
        out = function(*leaves)
        torch.manual_seed(1)
        found.append([out, *torch.autograd.grad(out, leaves, torch.randn(out.shape).to(dtype))])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted.float(), **NEAR)


@LEVELS
@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_new"])
@QUICK
@given(size=SIZES, gated=st.booleans())
def test_gates(level, name, size, gated) -> None:
    act = ACTIVATIONS[name]
    with using(level):
        both(lambda x, up=None: training.gate(act, x, up),
             lambda x, up=None: act(x) if up is None else act(x) * up,
             *[size] * (1 + gated), scale=3)


@LEVELS
@QUICK
@given(size=SIZES, offset=st.sampled_from([0.0, 1.0]), affine=st.booleans())
def test_rms(level, size, offset, affine) -> None:
    def exact(x, weight=None):
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        return y if weight is None else y * (weight + offset)

    with using(level):
        both(lambda x, weight=None: training.rms(x, weight, 1e-6, offset), exact, size,
             *[size[1:]] * affine)


@LEVELS
@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary(level, interleaved) -> None:
    rope = Rope(10000.0, dim=12, interleaved=interleaved)
    cos, sin = cos_sin(rope, 16, torch.arange(7).repeat(2, 1), torch.float32)
    with using(level):
        both(lambda x: training.rotate(x.transpose(1, 2), cos, sin, interleaved),
             lambda x: plain(x.transpose(1, 2), cos.double(), sin.double(), interleaved),
             (2, 7, 3, 16))


@LEVELS
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout(level, rate) -> None:
    x = torch.randn(100, 999, requires_grad=True)
    with using(level):
        torch.manual_seed(3)
        y = training.dropout(Module, x, rate)
        kept = y != 0
        torch.testing.assert_close(y, x * kept / (1 - rate))
        assert torch.autograd.grad(y.sum(), x)[0].equal(kept / torch.tensor(1 - rate))
        assert abs(float(kept.float().mean()) - (1 - rate)) < 0.01  # four deviations are 0.006
        columns = kept.float().mean(0)
        assert columns.min() > 1 - rate - 0.25 and columns.std() < 0.06
        other = training.dropout(Module, x, rate) != 0
        both_kept = float((kept & other).float().mean())
        assert abs(both_kept - (1 - rate) ** 2) < 0.01
        torch.manual_seed(3)
        threads = torch.get_num_threads()
        torch.set_num_threads(3)
        try:
            assert training.dropout(Module, x, rate).equal(y)
        finally:
            torch.set_num_threads(threads)


def split(x, lengths):
    return torch.split(x.transpose(1, 2), lengths, 2)


@LEVELS
@QUICK
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=4),
       heads=st.sampled_from([(4, 4), (6, 2), (2, 1)]), dim=st.sampled_from([8, 20, 32, 64]),
       causal=st.booleans())
def test_attention(level, lengths, heads, dim, causal) -> None:
    count, (many, few) = sum(lengths), heads
    starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])

    def ours(q, k, v):
        return attention_training.attention(
            *(x.transpose(1, 2) for x in (q, k, v)), Seen(causal, starts=starts), 0.3, 0.0)

    def exact(q, k, v):
        parts = zip(*(split(x, lengths) for x in (q, k, v)), strict=True)
        return torch.cat([F.scaled_dot_product_attention(
            a, b.repeat_interleave(many // few, 1), c.repeat_interleave(many // few, 1),
            is_causal=causal, scale=0.3) for a, b, c in parts], 2)

    with using(level):
        both(ours, exact, (1, count, many, dim), (1, count, few, dim), (1, count, few, dim))


@LEVELS
@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_dropout(level, causal) -> None:
    """Values of ones and zeros show which weights were dropped; the rest follows from those."""
    length, rate, seen = 32, 0.3, Seen(causal)
    sizes = [(2, length, 3, 32)] * 3

    def ours(q, k, v):
        torch.manual_seed(5)
        return attention_training.attention(*(x.transpose(1, 2) for x in (q, k, v)), seen, 0.2,
                                            rate)

    with using(level):
        unit = torch.eye(32).expand(2, 3, 32, 32).transpose(1, 2).contiguous()
        zeros = torch.zeros(sizes[0])
        kept = ours(zeros, zeros, unit).ne(0)  # [2, 3, T, S]
        triangle = torch.ones(length, length).tril().bool() if causal else \
            torch.ones(length, length).bool()
        share = float(kept[..., triangle].float().mean())
        assert abs(share - 0.7) < 0.05 and (causal or not kept[:, 0].equal(kept[:, 1]))

        def exact(q, k, v):
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
            scores = (q @ k.transpose(2, 3) * 0.2).masked_fill(~triangle, float("-inf"))
            return (scores.softmax(-1) * kept / (1 - rate)) @ v

        both(ours, exact, *sizes)


def test_gradients_of_gradients() -> None:
    x, up = (torch.randn(4, 20, requires_grad=True) for _ in range(2))
    weight, act = torch.randn(20, requires_grad=True), ACTIVATIONS["silu"]
    cases = [(lambda: training.gate(act, x, up), lambda: act(x) * up),
             (lambda: training.rms(x, weight, 1e-6, 1.0),
              lambda: x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (weight + 1))]
    for ours, exact in cases:
        twice = []
        for function in (ours, exact):
            first, = torch.autograd.grad(function().square().sum(), x, create_graph=True)
            twice.append(torch.autograd.grad(first.square().sum(), x)[0])
        torch.testing.assert_close(*twice, rtol=1e-4, atol=1e-4)
    q = torch.randn(1, 4, 2, 8, requires_grad=True)
    out = attention_training.attention(*[q.transpose(1, 2)] * 3, Seen(), 0.3, 0.0)
    with pytest.raises(NotImplementedError, match=r"gradient of a gradient.*native = False"):
        torch.autograd.grad(out.sum(), q, create_graph=True)


@pytest.mark.parametrize(("kind", "suffix"), [("bert", "ForMaskedLM"), ("llama", "ForCausalLM"),
                                              ("gpt2", "ForCausalLM")])
def test_models_train_as_with_torch(kind, suffix) -> None:
    config = enfold.AutoConfig.for_model(kind, **TINY[kind].config())
    model = getattr(enfold, f"AutoModel{suffix}").from_config(config).train()
    ids = torch.randint(4, 48, (3, 9))
    found = []
    for level in (None, levels()[0]):
        with using(level):
            model.zero_grad()
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            found.append((loss, {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(found[1], found[0], **NEAR)


def test_what_is_computed_again_drops_the_same() -> None:
    values = {**TINY["bert"].config(), "hidden_dropout_prob": 0.2,
              "attention_probs_dropout_prob": 0.2}
    model = enfold.AutoModelForMaskedLM.from_config(
        enfold.AutoConfig.for_model("bert", **values)).train()
    ids, found = torch.randint(4, 48, (3, 9)), []
    for again in (False, True):
        model.gradient_checkpointing_enable() if again else None
        torch.manual_seed(2)
        model.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        found.append((loss, {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-6)
