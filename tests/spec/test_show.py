"""The printed spec."""

from __future__ import annotations

from enfold.spec import MLP, Attention, Block, Norm, Stack, Tokens, describe

ATTENTION = Attention(4, 2, 16)
BLOCK = Block((ATTENTION, MLP(128)), Norm(eps=1e-5))


def test_equal_blocks_are_counted_and_defaults_left_out() -> None:
    assert describe(Stack(64, (BLOCK,) * 3, Tokens(1000), Norm())) == """\
Stack(dim=64)
  blocks: 3 x Block()
    branches:
      Attention(heads=4, kv_heads=2, head_dim=16)
      MLP(hidden=128)
    norm: Norm(eps=1e-05)
  embed: Tokens(vocab=1000)
  norm: Norm()"""


def test_different_blocks_stand_below_each_other() -> None:
    other = Block((ATTENTION,), Norm())
    lines = describe(Stack(64, (other, BLOCK, BLOCK), Tokens(9))).splitlines()
    assert lines[1:3] == ["  blocks:", "    Block()"]
    assert "    2 x Block()" in lines
