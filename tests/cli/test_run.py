"""`enfold run`: where inputs come from, what is printed, what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.tiny import save_chat_model, save_classifier


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    save_classifier(folder, minilm)
    return folder


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    def give(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return give


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("a good film\n\na bad film\r\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("argv", "count"), [
    (["one text"], 1),
    (["one text", "another"], 2),
    (["-"], 3),
    ([], 3),
    (["--file", "{lines}"], 2),
    (["--file", "{lines}", "--whole"], 1),
    (["first", "--file", "{lines}"], 3),
    (["first", "-"], 4),
    (["first", "--", "--dashes", "-"], 5),
    (["-", "--whole", "--batch-size", "2"], 1),
])
def test_one_result_for_each_input(command, classifier, stdin, lines, argv, count: int) -> None:
    stdin("x\ny\nz\n")
    argv = [word.format(lines=lines) for word in argv]
    done = command("run", "sentiment-analysis", "--model", classifier, "--json", *argv)
    assert done.code == 0, done.err
    results = [json.loads(line) for line in done.out.splitlines()]
    assert len(results) == count
    assert all(answer["label"] in ("NEGATIVE", "POSITIVE") for answer in results)


def test_plain_output_and_call_arguments(command, classifier) -> None:
    done = command("run", "text-classification", "-m", classifier, "--set", "top_k=null", "fine")
    assert done.code == 0, done.err
    assert sorted(line.split("  ")[1] for line in done.out.splitlines()) == ["NEGATIVE", "POSITIVE"]


def test_generation(command, tmp_path: Path) -> None:
    save_chat_model(tmp_path)
    done = command("run", "text-generation", "-m", tmp_path, "--set", "max_new_tokens=5",
                   "--set", "do_sample=false", "--dtype", "float32", "The quick")
    assert done.code == 0, done.err
    assert done.out.startswith("The quick")


@pytest.mark.parametrize(("argv", "message"), [
    (["sentiment", "-m", "x", "t"], "unknown task 'sentiment' (nearest: 'sentiment-analysis')"),
    (["fill-mask", "-m", "./nowhere", "t"], "no folder './nowhere'"),
    (["fill-mask", "-m", "x", "--file", "no.txt"],
     "--file no.txt: there is no such file. Do: check the path"),
    (["question-answering", "-m", "{model}", "text"], "question-answering: no question. Do: --set"),
    (["text-classification", "-m", "{model}", "--set", "top_kk=1", "t"], "top_kk"),
    (["text-generation", "-m", "{model}", "t"], "DistilBertForSequenceClassification"),
])
def test_refused_in_one_line(command, classifier, argv, message: str) -> None:
    done = command("run", *[word.format(model=classifier) for word in argv])
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_unknown_task_is_refused_before_torch_loads(python) -> None:
    code = ("import sys; from enfold.cli import main; main(['run', 'nothing', 't']); "
            "print('torch' in sys.modules)")
    assert python("-c", code).stdout == "False\n"


def test_a_terminal_is_not_waited_for(command, monkeypatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    done = command("run", "fill-mask", "-m", "x")
    assert done == (1, "", "enfold run: no input. Do: give texts, --file F, or pipe text in\n")
