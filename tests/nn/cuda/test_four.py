"""Four bits on a GPU: on one, or else by Triton's interpreter on the CPU.

The interpreter cuts bf16 off where processors round.
"""

from __future__ import annotations

import itertools
from importlib.util import find_spec

import pytest
import torch

from enfold.nn import blocks4
from enfold.nn.linear import Linear
from enfold.nn.native.blocks4 import Nested
from enfold.quant.blocks8 import dequantize_blocks, dynamic_map, quantize_blocks
from enfold.quant.bnb.linear4 import Linear4bit
from enfold.quant.group_linear import PackedLinear, Scheme
from enfold.quant.groups import quantize

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: torch's CUDA wheels bring it", allow_module_level=True)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
with pytest.MonkeyPatch.context() as patch:
    if DEVICE == "cpu":
        patch.setenv("TRITON_INTERPRET", "1")  # read where programs are defined
    from enfold.nn.cuda import four, programs

    assert programs.decode is not None
EXACT = (torch.float32, torch.float16, *([torch.bfloat16] if DEVICE == "cuda" else []))
ERROR = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}


@pytest.fixture(autouse=True)
def _taken(monkeypatch) -> None:
    """The kernels run here, wherever that is."""
    monkeypatch.setattr(four, "takes", lambda x: x.dtype in four.FLOATS)
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")


def drawn(*shape, dtype=torch.float32, seed=0):
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return made.to(DEVICE, dtype)


def close(found, x, weight, bias=None) -> None:
    exact = x.double() @ weight.double().t() + (0 if bias is None else bias.double())
    assert found.dtype == x.dtype
    assert (found.double() - exact).norm() <= ERROR[x.dtype] * exact.norm()


@pytest.mark.parametrize(("kind", "block", "count"), [
    ("nf4", 64, 64 * 40), ("nf4", 64, 2111), ("nf4", 32, 99), ("fp4", 4096, 5000), ("fp4", 64, 1)])
def test_blocks_become_the_numbers_that_a_cpu_gives(kind, block, count) -> None:
    packed, absmax = blocks4.quantize(drawn(count).cpu(), kind, block)
    for dtype in EXACT:
        exact = blocks4.values(kind)[blocks4.unpack(packed, count).int()]
        exact = (exact * absmax.repeat_interleave(block)[:count]).to(dtype)
        for start in {0, min(count // (2 * block) * block, block * 7)}:
            out = torch.empty(count - start, dtype=dtype, device=DEVICE)
            assert four.dequantize(packed.to(DEVICE), absmax.to(DEVICE), blocks4.VALUES[kind],
                                   block, start, out)
            assert torch.equal(out.cpu(), exact[start:])


@pytest.mark.parametrize("dtype", list(ERROR))
@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize(("kind", "block", "outputs", "inputs"), [
    ("nf4", 64, 17, 192), ("fp4", 64, 8, 1088), ("nf4", 32, 5, 96), ("nf4", 256, 33, 512)])
def test_products_with_blocks(rows, dtype, kind, block, outputs, inputs) -> None:
    packed, absmax = blocks4.quantize(drawn(outputs, inputs), kind, block)
    x, bias = drawn(rows, inputs, dtype=dtype, seed=1), drawn(outputs, seed=2)
    indices, outer = (t.to(DEVICE) for t in quantize_blocks(absmax.cpu() - 0.5, 256))
    nested = Nested(indices, outer, dynamic_map().to(DEVICE), 0.5, 256)
    twice = dequantize_blocks(indices, outer, 256, nested.map) + 0.5
    for scales, held, more in ((absmax, absmax, bias), (twice, nested, None)):
        weight = blocks4.dequantize(packed.cpu(), scales.cpu(), kind, block, outputs * inputs)
        found = four.multiply(x, packed, held, blocks4.VALUES[kind], outputs, block, more)
        close(found, x, weight.view(outputs, inputs).to(DEVICE), more)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("size", "outputs", "inputs"), [(32, 19, 96), (128, 8, 384),
                                                         (-1, 5, 1056), (96, 3, 192)])
def test_groups(size, symmetric, outputs, inputs) -> None:
    held = quantize(drawn(outputs, inputs), 4, size, symmetric)
    weight = four.GroupWeight(4, inputs, held.packed, held.scales, held.zeros)
    assert four.GroupWeight.fits(4, inputs, held.packed, held.scales, held.zeros)
    for dtype in EXACT:
        assert torch.equal(weight.decode(dtype), held.dequantize(dtype))
        assert torch.equal(weight.decode(dtype, 2, 3), held.dequantize(dtype)[2:3])
    for rows, dtype in itertools.product((1, 3, four.FEW, four.FEW + 1), EXACT):
        x, bias = drawn(rows, inputs, dtype=dtype, seed=1), drawn(outputs, dtype=dtype, seed=2)
        close(weight.linear(x, bias), x, held.dequantize(torch.float32), bias)


def test_many_rows_take_the_weight_in_parts(monkeypatch) -> None:
    held = quantize(drawn(11, 64), 4, 32, symmetric=False)
    weight = four.GroupWeight(4, 64, held.packed, held.scales, held.zeros)
    monkeypatch.setattr(four, "PART", 64 * 4)
    x, bias = drawn(20, 64), drawn(11, seed=1)
    close(weight.linear(x, bias), x, held.dequantize(torch.float32), bias)


@pytest.mark.parametrize(("bits", "inputs", "size", "form"), [
    (8, 64, 32, "unsigned"), (4, 64, 16, "unsigned"), (4, 64, 32, "signed")])
def test_what_there_is_no_kernel_for(bits, inputs, size, form) -> None:
    held = quantize(drawn(4, inputs), bits, size, symmetric=True)
    assert not four.GroupWeight.fits(bits, inputs, held.packed, held.scales, None, form)
    packed, absmax = blocks4.quantize(drawn(4, 96), "nf4", 64)
    assert four.multiply(drawn(1, 96), packed, absmax, blocks4.VALUES["nf4"], 4, 64, None) is None


def layers():
    with torch.device("meta"):
        plain = Linear(128, 24)
    plain.bias = torch.nn.Parameter(drawn(24, seed=3))
    packed = PackedLinear(plain, Scheme(4, 32, symmetric=False), "layer")
    return [Linear4bit(plain, "nf4", nested=True), Linear4bit(plain, "fp4"), packed]


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: layer.describe())
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (40,)])
def test_layers_use_them(layer, shape, monkeypatch) -> None:
    """The products of a layer, and the gradient to its input."""
    layer.requantize(drawn(24, 128))
    weight, called, real = layer.dequantize(torch.float32), [], four._programs
    monkeypatch.setattr(four, "_programs", lambda: called.append(None) or real())
    if DEVICE == "cpu":
        monkeypatch.setenv("ENFOLD_NATIVE", "0")
        monkeypatch.setattr("enfold.nn.native.library._level", None)
        layer.__dict__.pop("_view", None)
    x = drawn(*shape, 128, seed=4)
    with torch.no_grad():
        found, kernel = layer(x), layer.kernel(torch.float32)(x)
    assert len(called) >= 2 and torch.equal(found, kernel)
    wanted = torch.nn.functional.linear(x, weight, layer.bias)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    x.requires_grad_()
    grad = drawn(*shape, 24, seed=5)
    layer(x).backward(grad)
    torch.testing.assert_close(x.grad, grad @ weight, rtol=1e-5, atol=1e-5)
