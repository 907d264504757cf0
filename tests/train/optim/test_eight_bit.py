"""8-bit states: the codes, the training they allow, and what is saved."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from enfold.train import optim
from enfold.train.optim.codes import BLOCK, decode, encode, table

CPU = torch.device("cpu")


@pytest.mark.parametrize("signed", [True, False])
def test_the_table_is_the_dynamic_one(signed: bool) -> None:
    """256 values in -1..1, each decade cut into equal steps, twice as many in the next."""
    values = table(signed, CPU)
    assert values.shape == (256,) and bool((values.diff() > 0).all())
    assert values[-1] == 1.0 and values[0] == (pytest.approx(-0.99297, abs=1e-4) if signed else 0.0)
    for decade in range(7):
        low, high = 10.0 ** (decade - 7), 10.0 ** (decade - 6)
        inside = values[(values > low) & (values < high)]
        assert len(inside) == 2 ** (decade + (0 if signed else 1))
        if len(inside) > 1:
            assert inside.diff().allclose(torch.tensor((high - low) / len(inside)), rtol=1e-3)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("shape", [(BLOCK,), (3, 100), (BLOCK * 4 + 1,), (1,)])
def test_each_number_gets_the_nearest_code(signed: bool, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x = x if signed else x**2
    codes, scales = encode(x, signed)
    assert codes.dtype is torch.uint8 and codes.shape == x.shape
    assert scales.shape == (-(-x.numel() // BLOCK),)
    back = decode(codes, scales, signed)
    of_block = scales.repeat_interleave(BLOCK)[: x.numel()].view(shape)
    best = (table(signed, CPU) * of_block[..., None] - x[..., None]).abs().amin(-1)
    torch.testing.assert_close((back - x).abs(), best, rtol=1e-4, atol=1e-7)


def test_zeros_stay_zeros() -> None:
    assert not decode(*encode(torch.zeros(5, 300), True), True).any()


def regression(make: Any, steps: int = 150) -> float:
    """The loss that a small network reaches."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(128, 32, generator=draw)
    y = torch.sin(x @ torch.randn(32, 4, generator=draw))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 128), nn.Tanh(), nn.Linear(128, 4))
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


EIGHT = {"optim_bits": 8, "min_8bit_size": 256}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (optim.AdamW, {"lr": 3e-3}),
        (optim.Lion, {"lr": 1e-3}),
        (optim.RMSprop, {"lr": 1e-3}),
        (optim.AdEMAMix, {"lr": 1e-3}),
    ],
)
def test_8_bits_train_as_32(kind: Any, settings: dict[str, float]) -> None:
    whole = regression(lambda p: kind(p, **settings))
    small = regression(lambda p: kind(p, **settings, **EIGHT))
    start = regression(lambda p: kind(p, **settings), steps=1)
    assert whole < 0.5 * start
    assert small == pytest.approx(whole, abs=0.03 * start)


def test_the_state_has_the_names_and_shapes_of_bitsandbytes() -> None:
    large, small = nn.Parameter(torch.randn(64, 80)), nn.Parameter(torch.randn(10))
    optimizer = optim.AdamW([large, small], optim_bits=8)
    for p in (large, small):
        p.grad = torch.randn_like(p)
    optimizer.step()
    state = optimizer.state[large]
    assert list(state) == ["step", "state1", "absmax1", "qmap1", "state2", "absmax2", "qmap2"]
    assert {state[name].dtype for name in ("state1", "state2")} == {torch.uint8}
    assert state["state1"].shape == (64, 80) and state["absmax1"].shape == (20,)
    assert optimizer.state[small]["state1"].dtype is torch.float32
    held = sum(t.numel() * t.element_size() for t in state.values() if isinstance(t, torch.Tensor))
    assert held < 0.35 * 2 * 4 * large.numel()


KINDS: list[tuple[Any, dict[str, Any]]] = [
    (optim.AdamW, {"optim_bits": 8, "min_8bit_size": 1}),
    (optim.AdamW, {}),
    (optim.Lion, {"optim_bits": 8, "min_8bit_size": 1}),
    (optim.AdEMAMix, {"optim_bits": 8, "min_8bit_size": 1, "t_alpha": 5}),
    (optim.RMSprop, {}),
    (optim.StableAdamW, {}),
    (optim.Adafactor, {"beta1": 0.9}),
    (optim.Muon, {}),
    (optim.SGDScheduleFree, {"warmup_steps": 3}),
    (optim.AdamWScheduleFree, {"warmup_steps": 3}),
    (optim.RAdamScheduleFree, {}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_a_saved_state_goes_on_bit_for_bit(
    kind: Any, settings: dict[str, Any], dtype: torch.dtype
) -> None:
    def run(p: nn.Parameter, optimizer: Any, steps: range) -> None:
        for step in steps:
            draw = torch.Generator().manual_seed(step)
            p.grad = torch.randn(p.shape, generator=draw).to(dtype)
            optimizer.step()

    first = nn.Parameter(torch.randn(20, 30, generator=torch.Generator().manual_seed(9)).to(dtype))
    straight = copy.deepcopy(first)
    run(straight, kind([straight], **settings), range(8))
    before = kind([first], **settings)
    run(first, before, range(4))
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    second = nn.Parameter(first.detach().clone())
    after = kind([second], **settings)
    after.load_state_dict(torch.load(file, weights_only=True))
    for name, value in before.state[first].items():
        if isinstance(value, torch.Tensor):
            assert after.state[second][name].dtype is value.dtype
    run(second, after, range(4, 8))
    assert torch.equal(second, straight)


def test_a_closure_gives_the_loss_and_sparse_gradients_raise() -> None:
    p = nn.Parameter(torch.ones(3))
    optimizer = optim.AdamW([p])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    table_ = nn.Embedding(4, 2, sparse=True)
    table_(torch.tensor([1])).sum().backward()
    with pytest.raises(NotImplementedError, match="sparse=False"):
        optim.AdamW(table_.parameters()).step()
