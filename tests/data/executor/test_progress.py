"""Progress bars, and the switches that datasets has for them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import enfold.data.executor as executor
from enfold.data.executor import Progress, progress, tqdm


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(progress, "HF_DATASETS_DISABLE_PROGRESS_BARS", None)
    monkeypatch.setattr(progress, "_disabled", False)
    return


def test_a_bar_counts_rows(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(200, "Map") as bar:
        bar(120)
        bar(80)
    err = capsys.readouterr().err
    assert "Map: 100%" in err and "200/200" in err and "examples/s" in err


def test_nothing_is_drawn_where_bars_are_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    executor.disable_progress_bars()
    with Progress(200, "Map") as bar:
        bar(200)
    assert list(tqdm(range(3), disable=False)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_bars_can_be_disabled_and_enabled(capsys: pytest.CaptureFixture[str]) -> None:
    for disable, enable in ((executor.disable_progress_bars, executor.enable_progress_bars),
                            (executor.disable_progress_bar, executor.enable_progress_bar)):
        disable()
        assert executor.are_progress_bars_disabled() and executor.is_progress_bar_disabled()
        assert not executor.is_progress_bar_enabled()
        enable()
        assert not executor.are_progress_bars_disabled()
    list(tqdm(range(10)))
    assert "10/10" in capsys.readouterr().err
    list(tqdm(range(10), disable=True))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("fixed", "call", "stays"), [
    (True, "enable_progress_bars", "off.*PROGRESS_BARS=1"),
    (False, "disable_progress_bars", "on.*PROGRESS_BARS=0"),
])
def test_the_environment_decides_first(monkeypatch: pytest.MonkeyPatch, fixed: bool, call: str,
                                       stays: str) -> None:
    monkeypatch.setattr(progress, "HF_DATASETS_DISABLE_PROGRESS_BARS", fixed)
    monkeypatch.setattr(progress, "_disabled", fixed)
    with pytest.warns(UserWarning, match=f"progress bars stay {stays}"):
        getattr(executor, call)()
    assert executor.are_progress_bars_disabled() is fixed


@pytest.mark.parametrize("name", ["HF_DATASETS_DISABLE_PROGRESS_BARS",
                                  "ENFOLD_DISABLE_PROGRESS_BARS"])
def test_the_environment_is_read(python, name: str) -> None:
    code = """
import json, sys
from enfold.data.executor import Progress, are_progress_bars_disabled
with Progress(3, "Map") as bar:
    bar(3)
print(json.dumps([are_progress_bars_disabled(), "tqdm" in sys.modules]))
"""
    said = {value: python("-c", code, env={name: value}) for value in ("1", "0", "")}
    assert {value: json.loads(done.stdout) for value, done in said.items()} == {
        "1": [True, False], "0": [False, True], "": [False, True]}
    assert said["1"].stderr == "" and "3/3" in said["0"].stderr
