"""Trained weights: all-MiniLM-L6-v2's sentence embeddings are transformers'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from enfold import AutoModel, AutoTokenizer, pipeline

SENTENCES = [
    "A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby.",
    "A man is riding a horse.", "A woman is playing violin.", "Two men pushed carts through woods.",
    "A monkey is playing drums.", "A cheetah is running behind its prey.",
    "The new movie is awesome", "How do I reset my password?", "Where can I change my PIN?",
    "Quarterly revenue rose 4.2% to $1.3bn.", "naïve café, déjà vu", "你好，世界", "🤗 🚀",
    "def f(x): return x + 1", "E = mc²", "", "a", "Never gonna give you up " * 50,
]


def embed(library: Any, folder: Path, sentences: list[str]) -> torch.Tensor:
    """Mean-pooled and normalised, [N, 384]: the snippet of the model's card."""
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    model = library.AutoModel.from_pretrained(folder)
    found = []
    for start in range(0, len(sentences), 10):
        encoded = tokenizer(sentences[start : start + 10], padding=True, truncation=True,
                            max_length=256, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**encoded)[0]
        mask = encoded["attention_mask"].unsqueeze(-1).float()
        found.append(F.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9), p=2, dim=1))
    return torch.cat(found)


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """To 1e-5 of each vector's length."""
    assert float(((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max()) < 1e-5


class Ours:
    AutoModel, AutoTokenizer = AutoModel, AutoTokenizer


def test_embeddings_of_twenty_sentences(minilm: Path) -> None:
    import transformers

    ours = embed(Ours, minilm, SENTENCES)
    assert_equal(ours, embed(transformers, minilm, SENTENCES))
    assert int((ours[0] @ ours[1:].T).argmax()) == 0  # food and bread


def test_embeddings_of_a_thousand_real_sentences(minilm: Path, shared_data: Path) -> None:
    import transformers

    sentences = real_sentences(shared_data)
    ours = embed(Ours, minilm, sentences)
    assert ours.shape == (1000, 384)
    assert_equal(ours, embed(transformers, minilm, sentences))


def real_sentences(data: Path) -> list[str]:
    """600 English and 320 French sentences, tweets, paragraphs and Japanese; short and long."""
    def lines(name: str) -> list[str]:
        return (data / "text" / name).read_text("utf-8").split("\n")

    pairs = [line.split("\t") for line in lines("en-fr/eng-fra.txt") if line.count("\t") > 1]
    tweets = [line for line in lines("flair_regression_test.txt") if len(line) > 20][:50]
    wiki = [line for line in lines("wikitext-2-raw/wiki.valid.raw") if len(line) > 200][:10]
    japanese = [line for line in lines("wagahaiwa_nekodearu.txt") if len(line) > 10][:20]
    step = len(pairs) // 600
    english, french = ([pair[side] for pair in pairs[::step]] for side in (0, 1))
    found = (english[:600] + french[:320] + tweets + wiki + japanese)[:1000]
    return sorted(found, key=len)  # short ones are batched with short ones


@pytest.mark.parametrize("options", [{}, {"return_tensors": True}])
def test_feature_extraction(minilm: Path, options: dict[str, Any]) -> None:
    import transformers

    texts = SENTENCES[:6]
    ours = pipeline("feature-extraction", model=minilm)(texts, **options)
    theirs = transformers.pipeline("feature-extraction", model=str(minilm))(texts, **options)
    for one, other in zip(ours, theirs, strict=True):
        assert type(one) is type(other)
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=1e-5,
                                   atol=1e-5)


def test_the_snippet_of_the_demo_ranks_sentences(minilm: Path) -> None:
    ours = embed(Ours, minilm, ["How can I get a new password?", *SENTENCES])
    best = (ours[0] @ ours[1:].T).topk(2).indices.tolist()
    assert SENTENCES[best[0]] == "How do I reset my password?"
    assert json.loads((minilm / "config.json").read_text())["hidden_size"] == ours.shape[1]
