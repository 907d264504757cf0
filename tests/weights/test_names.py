"""The names table: braces, indices, transposes, further names, stand-ins, in both directions."""

from __future__ import annotations

import pytest

from enfold.weights.names import NameTable, Reads, T, expand, scope

TABLE = NameTable({
    "embed.token": ("shared", "encoder.embed_tokens"), "norm": "final_norm",
    "out": "cls.decoder", "out.bias": Reads("cls.decoder.bias", ("cls.bias",)),
    **scope("layers.*", "h.*", {"attn.{q,k}": "self.{query,key}", "mlp.up": T("mlp.c_fc")}),
    "first.norm": "h.0.own_norm"})


@pytest.mark.parametrize(("ours", "theirs"), [
    ("embed.token.weight", "shared.weight"), ("norm.weight", "final_norm.weight"),
    ("layers.3.attn.q.weight", "h.3.self.query.weight"),
    ("layers.12.attn.k.bias", "h.12.self.key.bias"),
    ("layers.0.mlp.up.weight", "h.0.mlp.c_fc.weight"), ("out.weight", "cls.decoder.weight"),
    ("out.bias", "cls.decoder.bias"), ("first.norm.weight", "h.0.own_norm.weight"),
    ("layers.1.attn.q.lora_A.default.weight", "h.1.self.query.lora_A.default.weight")])
def test_both_directions(ours: str, theirs: str) -> None:
    assert TABLE.theirs(ours) == theirs
    assert TABLE.ours(theirs) == ours


def test_further_names_and_stand_ins() -> None:
    assert TABLE.ours("encoder.embed_tokens.weight") == "embed.token.weight"
    assert TABLE.first("encoder.embed_tokens.weight") == "shared.weight"
    assert TABLE.others("shared.weight") == ["encoder.embed_tokens.weight"]
    assert TABLE.ours("cls.bias") == "out.bias"
    assert TABLE.others("cls.decoder.bias") == []  # files may have it, models don't show it
    assert TABLE.stands_in("cls.bias")
    assert not TABLE.stands_in("cls.decoder.bias")
    assert not TABLE.stands_in("encoder.embed_tokens.weight")


def test_transposes_and_lines() -> None:
    assert TABLE.is_transposed("layers.1.mlp.up") and not TABLE.is_transposed("layers.1.attn.q")
    assert TABLE.line("layers.4.attn.q.weight") == "layers.*.attn.q -> h.*.self.query"
    assert TABLE.line("nothing") == "no line"


def test_below() -> None:
    assert sorted(TABLE.below("h.2.self")) == [("h.2.self.key", "layers.2.attn.k"),
                                               ("h.2.self.query", "layers.2.attn.q")]
    assert dict(TABLE.below("h")) == {
        "h.*.self.query": "layers.*.attn.q", "h.*.self.key": "layers.*.attn.k",
        "h.*.mlp.c_fc": "layers.*.mlp.up", "h.0.own_norm": "first.norm"}


def test_unknown_names() -> None:
    for name in ("layers.x.attn.q", "nothing", "layers.1.attn"):
        with pytest.raises(KeyError):
            TABLE.theirs(name)


def test_braces_pair_up() -> None:
    assert expand({"{a,b}.{x,y}": "{A,B}.{X,Y}"}) == {
        "a.x": "A.X", "a.y": "A.Y", "b.x": "B.X", "b.y": "B.Y"}
    assert expand({"{a,b}": ("p.{A,B}", "q.{A,B}")}) == {"a": ("p.A", "q.A"), "b": ("p.B", "q.B")}
