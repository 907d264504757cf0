"""Tensors are asked for some bytes before they are quantized."""

from __future__ import annotations

from enfold.weights import packed


class Asked:
    """A checkpoint of tensors of 100 bytes that keeps what it was asked for."""

    def __init__(self):
        self.keys = []

    def fetch(self, key):
        self.keys.append(key)

    def nbytes(self, key):
        return 100


def test_the_next_layers_are_asked_for(monkeypatch):
    monkeypatch.setattr(packed, "AHEAD", 250)
    checkpoint, seen = Asked(), []
    found = {f"l{n}": {"weight": f"t{n}"} for n in range(6)}
    for path in packed.in_time([*found, "absent"], found, checkpoint):
        seen.append((path, len(checkpoint.keys)))
    assert seen == [("l0", 3), ("l1", 4), ("l2", 5), ("l3", 6), ("l4", 6), ("l5", 6),
                    ("absent", 6)]
    assert checkpoint.keys == [f"t{n}" for n in range(6)]
