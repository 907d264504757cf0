"""`enfold info`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from enfold.cli.info import size


def test_report_of_a_trained_model(command, minilm: Path) -> None:
    done = command("info", minilm, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["family"], report["architecture"]) == ("bert", "BertModel")
    assert report["parameters"] == 22_713_216
    assert report["memory"]["float32"] == 4 * 22_713_216
    assert "BertForMaskedLM" in report["heads"]
    assert report["files"]["model.safetensors"] == (minilm / "model.safetensors").stat().st_size
    assert report["spec"].startswith("Stack(dim=384)")


def test_plain_report_needs_no_weights(command, minilm: Path, tmp_path: Path) -> None:
    config = json.loads((minilm / "config.json").read_text()) | {"torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = command("info", tmp_path)
    assert done.code == 0, done.err
    for part in ("BertModel", "family bert", "6 x Block", "22,713,216", "config.json",
                 "float32     90.9 MB  as stored"):
        assert part in done.out


@pytest.mark.parametrize(("config", "message"), [
    (None, "config.json"),
    ('{"model_type": "berd"}', "unknown model_type 'berd' (nearest: 'bert'"),
    ('{"model_type": "bert"', "config.json"),
])
def test_refused_in_one_line(command, tmp_path: Path, config: str | None, message: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    done = command("info", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(("count", "shown"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (90_852_864, "90.9 MB"), (5e15, "5000.0 TB")])
def test_size(count: float, shown: str) -> None:
    assert size(count) == shown
