"""A spec as indented text: only what differs from the defaults, equal neighbours counted.

    Stack(dim=384)
      blocks: 6 x Block(norm_at=('sum',))
        branches:
          Attention(heads=12, kv_heads=12, head_dim=32, bias='qkvo', causal=False)
          MLP(hidden=1536, act='gelu', gated=False, bias=True)
        norm: Norm(kind='layer', eps=1e-12)
      embed: Tokens(vocab=30522, types=2)
        positions: Learned(length=512)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import groupby
from typing import Any


class Spec:
    """The base of all specs: printed, they show what is not at its default."""

    __slots__ = ()

    def __str__(self) -> str:
        return describe(self)


def describe(spec: Any) -> str:
    """The spec (a dataclass) over several lines."""
    return "\n".join(lines("", spec))


def lines(label: str, spec: Any) -> Iterator[str]:
    """`label` and the spec's plain fields, then its nested specs, indented."""
    plain, nested = [], []
    for field in changed(spec):
        value = getattr(spec, field.name)
        if holds_specs(value):
            nested.append((field.name, value))
        else:
            plain.append(f"{field.name}={value!r}")
    yield f"{label}{type(spec).__name__}({', '.join(plain)})"
    for name, value in nested:
        rows = many(name, value) if isinstance(value, tuple) else lines(f"{name}: ", value)
        yield from (f"  {row}" for row in rows)


def many(name: str, specs: tuple[Any, ...]) -> Iterator[str]:
    """A tuple of specs: on its label's line if all are equal, else one below the other."""
    runs = [(spec, len(list(run))) for spec, run in groupby(specs)]
    labels = [f"{count} x " if count > 1 else "" for _, count in runs]
    if len(runs) == 1:
        yield from lines(f"{name}: {labels[0]}", specs[0])
        return
    yield f"{name}:"
    for label, (spec, _) in zip(labels, runs, strict=True):
        yield from (f"  {row}" for row in lines(label, spec))


def changed(spec: Any) -> list[Field[Any]]:
    """The fields whose value is not their default."""
    return [field for field in fields(spec)
            if field.default is MISSING or getattr(spec, field.name) != field.default]


def holds_specs(value: Any) -> bool:
    """Whether it is a spec, or a tuple that holds some."""
    return is_dataclass(value) or (isinstance(value, tuple) and any(map(is_dataclass, value)))
