"""Large products by pieces of bf16: as near to fp64 as products in fp32, with gradients."""

from __future__ import annotations

import ctypes
import mmap
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from enfold.nn import vocabulary
from enfold.nn.linear import Linear, chosen
from enfold.nn.native import products
from enfold.nn.native.library import level, using

pytestmark = pytest.mark.skipif(products._product() is None,
                                reason=f"the level {level()} has no such products (AMX has)")
QUICK = settings(max_examples=12, deadline=None)
SIDE = st.sampled_from([1, 2, 15, 16, 17, 31, 32, 33, 100, 385])


def far(found: Tensor, exact: Tensor) -> float:
    """How far off, relative to all numbers together."""
    return float((found - exact).detach().norm() / exact.detach().norm())


def lying(rows: int, columns: int, turned: bool) -> Tensor:
    x = torch.randn(columns, rows).t() if turned else torch.randn(rows, columns)
    return x * torch.logspace(-3, 3, columns)  # * keeps the order of memory


@QUICK
@given(size=st.tuples(SIDE, SIDE, SIDE), turned=st.tuples(st.booleans(), st.booleans()),
       way=st.sampled_from(["plain", "bias", "more"]))
def test_either_way_they_lie(size, turned, way) -> None:
    m, k, n = size
    a, b = lying(m, k, turned[0]), lying(n, k, not turned[1]).t()
    bias, out = torch.randn(n), torch.randn(m, n + 3)[:, :n]
    start = {"bias": bias, "more": out.clone(), "plain": torch.zeros(n)}[way]
    exact = a.double() @ b.double() + start
    products.matmul(a, b, out, bias if way == "bias" else None, way == "more")
    assert far(out, exact) < 1e-6


@pytest.mark.parametrize("size", [(700, 400, 96), (96, 900, 700)])
def test_no_farther_than_torch(size) -> None:
    m, k, n = size
    a, b = torch.randn(m, k), torch.randn(k, n)
    exact = a.double() @ b.double()
    assert far(products.matmul(a, b), exact) < 1.3 * far(a @ b, exact)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rows", [1, 15, 17, 49])
def test_nothing_is_read_behind_a_matrix(rows, turned) -> None:
    count, page = rows * 33, mmap.PAGESIZE
    held = mmap.mmap(-1, 3 * page)
    x = torch.frombuffer(held, dtype=torch.float32, offset=2 * page - 4 * count, count=count)
    x.copy_(torch.randn(count))
    libc, end = ctypes.CDLL(None), x.data_ptr() + 4 * count
    assert libc.mprotect(ctypes.c_void_p(end), page, 0) == 0  # reading there ends the process
    a = x.view(33, rows).t() if turned else x.view(rows, 33)
    b = torch.randn(33, 40)
    assert far(products.matmul(a, b), a.double() @ b.double()) < 1e-6
    assert libc.mprotect(ctypes.c_void_p(end), page, 3) == 0


def test_each_number_keeps_its_24_bits() -> None:
    x = (1 + torch.rand(64, 32)) * torch.logspace(-30, 30, 64)[:, None]
    assert torch.equal(products.matmul(x, torch.eye(32)), x)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"),
                                 torch.tensor(0x7fffffff, dtype=torch.int32).view(torch.float32)])
def test_what_is_not_finite_stays_so(bad) -> None:
    a = torch.randn(40, 40)
    a[3, 5] = bad
    out = products.matmul(a, torch.randn(40, 40))
    assert not out[3].isfinite().any()
    assert out[torch.arange(40) != 3].isfinite().all()


def test_any_number_of_threads() -> None:
    a, b = torch.randn(200, 500), torch.randn(500, 130)
    one, before = products.matmul(a, b), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(products.matmul(a, b), one)
    finally:
        torch.set_num_threads(before)


def layer(**options: bool) -> Linear:
    made = Linear(160, 130, **options)
    torch.nn.init.normal_(made.weight)
    return made


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("trained", ["all", "x", "weight"])
def test_gradients_of_a_layer(bias, trained) -> None:
    made = layer(bias=bias)
    x = torch.randn(4, 50, 160, requires_grad=trained != "weight")
    made.requires_grad_(trained != "x")
    y = made(x)
    assert type(y.grad_fn).__name__ == "_LinearBackward"
    leaves = [p for p in (x, *made.parameters()) if p.requires_grad]
    above = torch.randn(y.shape)
    found = torch.autograd.grad(y, leaves, above)
    twins = [p.detach().double().requires_grad_(p.requires_grad) for p in (x, *made.parameters())]
    exact = torch.autograd.grad(F.linear(*twins), [t for t in twins if t.requires_grad],
                                above.double())
    for mine, wanted in zip(found, exact, strict=True):
        assert far(mine, wanted) < 1e-6


@pytest.mark.parametrize("first", ["x", "weight"])
def test_a_gradient_of_a_gradient(first) -> None:
    made, x = layer(), torch.randn(130, 160, requires_grad=True)
    found = []
    for native in (True, False):
        made.native = native
        leaf = x if first == "x" else made.weight
        slope, = torch.autograd.grad(made(x).square().sum(), leaf, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), [x, *made.parameters()]))
    for mine, wanted in zip(*found, strict=True):
        assert far(mine, wanted) < 1e-5


@pytest.mark.parametrize("bias", [False, True])
def test_inference_goes_there(bias) -> None:
    made, x = Linear(264, 256, bias=bias).eval(), torch.randn(2, 264, 70).mT
    exact = F.linear(x.double(), made.weight.double(), made.bias.double() if bias else None)
    with torch.inference_mode():
        assert chosen(x, made.weight, made.bias) is products.forward
        assert chosen(x[:, :60], made.weight, made.bias) is not products.forward
        assert far(made(x), exact) < 1e-6


@pytest.mark.parametrize("case", ["few rows", "narrow", "double", "off", "no library", "autocast"])
def test_the_rest_is_torchs(case) -> None:
    made, x = layer(), torch.randn(140, 160)
    with torch.autocast("cpu", enabled=case == "autocast", dtype=torch.bfloat16), \
            using(None if case == "no library" else level()):
        if case == "few rows":
            x = x[:16]
        elif case == "narrow":
            made = Linear(160, 8)
        elif case == "double":
            made, x = made.double(), x.double()
        elif case == "off":
            made.native = False
        assert "_Linear" not in type(made(x).grad_fn).__name__


@pytest.mark.parametrize("bias", [False, True])
def test_the_loss_over_a_vocabulary(bias) -> None:
    head = layer(bias=bias)
    hidden, labels = torch.randn(150, 160, requires_grad=True), torch.randint(130, (150,))
    found = []
    for native in (True, False):
        head.native = native
        loss = vocabulary.summed_entropy(hidden * 0.01, head, labels)
        found.append([loss, *torch.autograd.grad(loss, [hidden, *head.parameters()])])
    for mine, wanted in zip(*found, strict=True):
        assert far(mine, wanted) < 1e-5
