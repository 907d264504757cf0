"""Results as plain text."""

from __future__ import annotations

import pytest
import torch

from enfold.cli.show import plain


@pytest.mark.parametrize(("result", "text"), [
    ([{"label": "POSITIVE", "score": 0.99987}], "0.9999  POSITIVE"),
    ({"label": "1 star", "score": 0.5}, "0.5000  1 star"),
    ([{"generated_text": "Once upon\na time"}], "Once upon\na time"),
    ([{"generated_text": [{"role": "user", "content": "Hi"},
                          {"role": "assistant", "content": "Hello"}]}], "Hello"),
    ({"summary_text": "Short."}, "Short."),
    ({"translation_text": "Bonjour"}, "Bonjour"),
    ({"score": 0.25, "start": 3, "end": 7, "answer": "Oslo"}, "0.2500  3  7  Oslo"),
    ({"sequence": "A film", "labels": ["art", "sport"], "scores": [0.9, 0.1]},
     "0.9000  art\n0.1000  sport"),
    ([{"entity_group": "PER", "score": 0.9, "word": "Ada", "start": 0, "end": 3}],
     "0.9000  PER  Ada  0  3"),
    ([], "(nothing found)"),
    ([[[0.5, -1.0], [0.25, 2.0]]], "[1, 2, 2] 0.5000 -1.0000"),
    (torch.zeros(2, 8), "[2, 8] 0.0000 0.0000 0.0000 0.0000 0.0000 0.0000 ..."),
])
def test_plain(result, text: str) -> None:
    assert plain(result) == text
