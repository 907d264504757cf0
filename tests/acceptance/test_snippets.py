"""Programs written for transformers run with only the import line changed, and give the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
from tests.acceptance.conftest import Reference
from tests.acceptance.reference import run
from tests.acceptance.snippets import SNIPPETS


@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_only_the_import_line_changes(name: str, reference: Reference, hub: Path,
                                      differences: Callable[..., list[Any]]) -> None:
    wanted = {version: answers[name] for version, answers in reference.answers.items()
              if name in answers}
    if not wanted:
        pytest.skip("only transformers 4.57 runs this, and it is not here (make oracle)")
    result = json.loads(json.dumps(run(SNIPPETS[name].code, "enfold")))
    for version, want in wanted.items():
        assert differences(result, want) == [], f"as transformers {version} gives it"


def test_max_length_of_a_call_bounds_a_summary(hub: Path) -> None:
    """transformers 4.57 warns and goes on to its default of 256 new tokens."""
    name, text = "facebook/bart-large-cnn", "The quick brown fox jumps over the lazy dog. " * 4
    tokenizer, model = (auto.from_pretrained(name) for auto in (AutoTokenizer,
                                                                AutoModelForSeq2SeqLM))
    inputs = tokenizer(text, return_tensors="pt")
    ids = model.generate(**inputs, max_length=40, min_length=10, num_beams=4)
    found = pipeline("summarization", model=name)(text, max_length=40, min_length=10)
    assert found == [{"summary_text": tokenizer.decode(ids[0], skip_special_tokens=True)}]
    assert ids.shape[1] <= 40
