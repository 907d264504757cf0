"""The README's Python runs as written, without a network: its models stand in a cache made here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
CHAT = ("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}")


@pytest.fixture(scope="module")
def hub_cache(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A HF_HOME whose cache holds each repository that the README names."""
    home = tmp_path_factory.mktemp("hf")
    shutil.copytree(minilm, snapshot(home, "sentence-transformers/all-MiniLM-L6-v2"))
    classifier(snapshot(home, "distilbert/distilbert-base-uncased-finetuned-sst-2-english"), minilm)
    chat_model(snapshot(home, "HuggingFaceTB/SmolLM2-135M-Instruct"))
    return home


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippet_runs(snippet: str, hub_cache: Path, no_sockets: list[object], tmp_path: Path,
                      monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_HOME", str(hub_cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(snippet, str(README), "exec"), names)
    out = capsys.readouterr().out
    assert no_sockets == []
    assert out.strip()
    if "meaning" in names:
        near, far = (names["meaning"][0] @ names["meaning"][1:].T).tolist()
        assert near > 0.4 > far


def test_readme_names_what_there_is() -> None:
    from enfold.models import families
    from enfold.tasks.registry import TASKS

    state = TEXT.partition("## The state of things")[2]
    assert [name for name in families() if not re.search(rf"\b{name}\b", state)] == []
    assert [task.name for task in TASKS.values() if task.name not in state] == []


def snapshot(home: Path, repo: str) -> Path:
    """The folder of a repository's one cached commit (its parent exists, it does not)."""
    folder = home / "hub" / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots").mkdir()
    return folder / "snapshots" / ("0" * 40)


def classifier(folder: Path, vocabulary: Path) -> None:
    """A tiny random DistilBERT with two labels and MiniLM's vocabulary."""
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    labels = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=16, hidden_dim=32, n_layers=1,
                              n_heads=2, id2label=labels)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def chat_model(folder: Path) -> None:
    """A tiny random Llama with a byte-level vocabulary learnt from the README and a template."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    engine = ByteLevelBPETokenizer()
    engine.train_from_iterator([TEXT], vocab_size=300, special_tokens=["<eos>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=engine._tokenizer, eos_token="<eos>",
                                        pad_token="<eos>", chat_template=CHAT)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32,
                         num_hidden_layers=1, num_attention_heads=2, eos_token_id=0, pad_token_id=0,
                         bos_token_id=0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
