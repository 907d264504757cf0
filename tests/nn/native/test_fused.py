"""Native norms, activations and rotations against torch, at every level of this machine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from enfold.nn.act import ACTIVATIONS
from enfold.nn.attention import SelfAttention
from enfold.nn.native.fused import CODES, gate, goes_native, rotate
from enfold.nn.native.library import levels, using
from enfold.nn.norm import norm, normalizer, sum_norm
from enfold.nn.rope import cos_sin
from enfold.nn.rope import rotate as plain
from enfold.spec import Attention, Block, Norm, Rope

LEVELS = pytest.mark.parametrize("level", levels())
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
SIZES = st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 16, 31, 64, 100, 768, 2048]))
QUICK = settings(max_examples=15, deadline=None)


def tolerance(dtype):
    return {"rtol": 2e-6, "atol": 2e-6} if dtype == torch.float32 else {"rtol": 8e-3, "atol": 8e-3}


@LEVELS
@DTYPES
@pytest.mark.parametrize("spec", [Norm(), Norm(offset=1.0), Norm(affine=False), Norm("layer", 1e-5),
                                  Norm("layer", bias=False), Norm("layer", affine=False)], ids=str)
@QUICK
@given(size=SIZES, added=st.booleans())
@torch.no_grad()
def test_norms(level, dtype, spec, size, added) -> None:
    torch.manual_seed(0)
    module = norm(spec, size[1]).to(dtype).eval()
    for weight in module.parameters():
        nn.init.normal_(weight, 1.0, 0.2)
    x, h = torch.randn(2, *size).to(dtype) * 3 + 1, torch.randn(2, *size).to(dtype)
    with using(None):
        wanted = module(x + h) if added else module(x)
    with using(level):
        assert normalizer(module, x) is not None
        found = sum_norm(module, x, h) if added else normalizer(module, x)(x)
    if size[1] > 1 or spec.kind == "rms":  # the deviation of one number is noise
        torch.testing.assert_close(found, wanted, **tolerance(dtype))


@LEVELS
@DTYPES
@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_new", "quick_gelu", "relu", "relu2"])
@torch.no_grad()
def test_activations(level, dtype, name) -> None:
    act = ACTIVATIONS[name]
    x = torch.cat((torch.linspace(-30, 30, 4001), torch.tensor([0.0, -1e4, 1e4, 100, -100])))
    x, up = x.to(dtype), torch.linspace(-2, 2, 4006).to(dtype)
    with using(level):
        alone, both = gate(CODES[act], x), gate(CODES[act], x, up)
    torch.testing.assert_close(alone, act(x.double()).to(dtype), **tolerance(dtype))
    torch.testing.assert_close(both, act(x.double()).to(dtype) * up, **tolerance(dtype))


@LEVELS
@DTYPES
@pytest.mark.parametrize("rope", [Rope(), Rope(interleaved=True), Rope(dim=12)], ids=str)
@pytest.mark.parametrize("rows", [1, 2])
@torch.no_grad()
def test_rotation(level, dtype, rope, rows) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 9, 3, 50).to(dtype)[..., :48].transpose(1, 2)
    cos, sin = cos_sin(rope, 48, torch.randint(0, 999, (rows, 9)), dtype)
    with using(level):
        found = rotate(x, cos.float(), sin.float(), rope.interleaved)
    wanted = plain(x.double(), cos.double(), sin.double(), rope.interleaved).to(dtype)
    torch.testing.assert_close(found, wanted, **tolerance(dtype))


def test_native_only_in_inference_on_plain_tensors_where_it_is_on() -> None:
    spec = Attention(2, 2, 8)
    module, x = SelfAttention(spec, 16, Block((spec,), Norm()), 0).eval(), torch.randn(1, 3, 16)
    if not levels():
        pytest.skip("no native library is built here")
    with torch.no_grad():
        assert goes_native(module, x)
        assert not goes_native(module, x.half())
        assert not goes_native(module, nn.Parameter(x))
        with torch.autocast("cpu", torch.bfloat16):
            assert not goes_native(module, x)
        with using(None):
            assert not goes_native(module, x)
        assert not goes_native(module.train(), x)
        module.eval().native = False
        assert not goes_native(module, x)
    module.native = True
    assert not goes_native(module, x)
