"""Programs written for transformers run with only the import line changed, and give the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
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


class Folder:
    """The Hub's client, whose uploads land in a folder."""

    def __init__(self, **_: Any) -> None: ...

    def create_repo(self, repo_id: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, repo_id: str, folder_path: Path, **_: Any) -> SimpleNamespace:
        shutil.copytree(folder_path, repo_id, dirs_exist_ok=True)
        return SimpleNamespace(oid="1")


def test_what_is_pushed_can_be_loaded_by_that_name(hub: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Folder)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    made = pipeline("sentiment-analysis",
                    model="distilbert/distilbert-base-uncased-finetuned-sst-2-english")
    monkeypatch.chdir(tmp_path)
    made.model.push_to_hub("me/sentiment")
    made.tokenizer.push_to_hub("me/sentiment")
    again = pipeline("sentiment-analysis", model="me/sentiment")
    assert again("I like it.") == made("I like it.")
