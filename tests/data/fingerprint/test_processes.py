"""The same script in fresh processes gives the same digests, whatever hash seed and file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

SCRIPT = Path(__file__).with_name("script.py")
Python = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script elsewhere, with other comments, docstrings and line numbers."""
    text = SCRIPT.read_text().replace('"""Has a docstring."""', '"""Another docstring."""')
    assert "Another" in text and "# the things" in text
    path = tmp_path_factory.mktemp("elsewhere") / "renamed.py"
    path.write_text(text.replace("# the things", "\n\n\n# Things"))
    return path


def test_five_processes_agree(python: Python, moved: Path, minilm: Path) -> None:
    runs = [(SCRIPT, "0", "heavy"), (SCRIPT, "random", "use"), (SCRIPT, "random", ""),
            (moved, "random", ""), (moved, "2", "use", "heavy")]
    said = []
    for script, seed, *options in runs:
        done = python(script, minilm, *options, env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    for other in said[1:]:
        assert {name for name in other if said[0][name] != other[name]} == set()
    different = [value for name, value in said[0].items() if name != "frozen closure"]
    assert len(set(different)) == len(different)
    assert said[0]["closure"] == said[0]["frozen closure"]


PEER = """
import json, sys
import transformers
from enfold.data.fingerprint import digest
tok = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
before = digest(tok), digest(lambda rows: tok(rows["text"]))
tok(["some text", "more of it"], padding=True, truncation=True, max_length=4)
after = digest(tok), digest(lambda rows: tok(rows["text"]))
tok.padding_side = "left"
side = digest(tok)
tok.add_tokens(["[NEW]"])
print(json.dumps([before, after, side, digest(tok), digest(tok("a")), digest(tok.__class__)]))
"""


def test_tokenizers_of_transformers_are_the_same_after_use(python: Python, minilm: Path) -> None:
    said = []
    for seed in "12":
        done = python("-c", PEER, minilm, env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    before, after, side, added, *_ = said[0]
    assert said[0] == said[1] and before == after
    assert len({before[0], before[1], side, added}) == 4


def test_a_models_digest_is_its_content(python: Python, minilm: Path, tmp_path: Path) -> None:
    code = """
import sys
import enfold, torch
from enfold.data.fingerprint import digest
model, other = (enfold.AutoModel.from_pretrained(path) for path in sys.argv[1:3])
ids = torch.tensor([[1, 2]])
first = digest(model)
model(input_ids=ids)
assert first == digest(model), "after use"
tok = enfold.AutoTokenizer.from_pretrained(sys.argv[1])
pipe = enfold.pipeline("feature-extraction", model=model, tokenizer=tok)
before = digest(lambda row: pipe(row["text"]))
pipe(["one", "two and more"])
assert before == digest(lambda row: pipe(row["text"])), "a pipeline after use"
compiled = torch.compile(torch.nn.ReLU())
assert digest(compiled) == digest(torch.compile(torch.nn.ReLU())) != digest(torch.nn.ReLU())
assert first == digest(other), "from another folder"
with torch.no_grad():
    next(other.parameters()).view(-1)[7] += 1e-3
assert first != digest(other), "a changed weight"
tok, twin = (enfold.AutoTokenizer.from_pretrained(path) for path in sys.argv[1:3])
assert digest(tok) == digest(twin)
twin.padding_side = "left"
assert digest(tok) != digest(twin)
"""
    shutil.copytree(minilm, tmp_path / "copy")
    done = python("-c", code, minilm, tmp_path / "copy")
    assert done.returncode == 0, done.stderr
