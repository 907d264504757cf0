"""The README's Python runs as written, without a network: its models stand in a cache made here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import save_chat_model, save_classifier

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A HF_HOME whose cache holds each repository that the README names."""
    home = tmp_path_factory.mktemp("hf")
    shutil.copytree(minilm, snapshot(home, "sentence-transformers/all-MiniLM-L6-v2"))
    save_classifier(
        snapshot(home, "distilbert/distilbert-base-uncased-finetuned-sst-2-english"), minilm)
    save_chat_model(snapshot(home, "HuggingFaceTB/SmolLM2-135M-Instruct"))
    return home


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippet_runs(snippet: str, hub_cache: Path, no_sockets: list[object], tmp_path: Path,
                      monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_HOME", str(hub_cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(README.parent / "examples")
    names: dict[str, Any] = {}
    exec(compile(snippet, str(README), "exec"), names)
    out = capsys.readouterr().out
    assert no_sockets == []
    assert out.strip()
    if "meaning" in names:
        near, far = (names["meaning"][0] @ names["meaning"][1:].T).tolist()
        assert near > 0.4 > far


def test_readme_names_what_there_is() -> None:
    from enfold.models.registry import FAMILIES
    from enfold.tasks.registry import TASKS

    state = TEXT.partition("## The state of things")[2]
    assert [name for name in FAMILIES if not re.search(rf"\b{name}\b", state)] == []
    assert [task.name for task in TASKS if task.name not in state] == []


def snapshot(home: Path, repo: str) -> Path:
    """The folder of a repository's one cached commit (its parent exists, it does not)."""
    folder = home / "hub" / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots").mkdir()
    return folder / "snapshots" / ("0" * 40)
