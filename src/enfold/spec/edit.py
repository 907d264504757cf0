"""Edits, for pages whose family is a variant of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from enfold.spec.body import Learned, Stack
from enfold.spec.parts import Attention, Branch


def each_branch(stack: Stack, edit: Callable[[Branch], Branch]) -> Stack:
    """`stack` with every branch replaced by `edit(branch)`."""
    blocks = tuple(replace(b, branches=tuple(edit(branch) for branch in b.branches))
                   for b in stack.blocks)
    return replace(stack, blocks=blocks)


def attention(stack: Stack, **fields: Any) -> Stack:
    """`stack` with these fields changed in every attention."""
    return each_branch(stack, lambda b: replace(b, **fields) if isinstance(b, Attention) else b)


def blocks(stack: Stack, **fields: Any) -> Stack:
    """`stack` with these fields changed in every block."""
    return replace(stack, blocks=tuple(replace(block, **fields) for block in stack.blocks))


def positions(stack: Stack, **fields: Any) -> Stack:
    """`stack` with these fields changed in its learned positions."""
    if not isinstance(stack.embed.position, Learned):
        raise TypeError(f"the stack has {stack.embed.position!r}, not learned positions")
    moved = replace(stack.embed.position, **fields)
    return replace(stack, embed=replace(stack.embed, position=moved))
