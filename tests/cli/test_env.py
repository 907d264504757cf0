"""`enfold env`."""

from __future__ import annotations

import json
import platform

import pytest


def test_report_has_versions_machine_and_caches(command) -> None:
    done = command("env", "--json")
    report = json.loads(done.out)
    assert report["versions"]["python"] == platform.python_version()
    assert report["versions"]["torch"].startswith("2.")
    assert int(report["machine"]["cores"]) >= 1
    assert "threads" in report["torch"]
    assert report["hub"]["models"].endswith("hub")


def test_plain_report_is_aligned(command) -> None:
    lines = command("env").out.splitlines()
    assert lines[0] == "versions"
    rows = [line for line in lines if line.startswith("  ")]
    start = rows[0].index(platform.python_version())
    assert all(row[start - 2:start] == "  " for row in rows)


@pytest.mark.parametrize(("name", "value", "shown"), [
    ("HF_TOKEN", "hf_abcdefgh", "set (11 characters)"),
    ("HUGGING_FACE_HUB_TOKEN", "secret", "set (6 characters)"),
    ("HF_ENDPOINT", "https://me:pass@hub.example/x", "https://***@hub.example/x"),
    ("HF_HUB_OFFLINE", "1", "1"),
    ("HF_TOKEN_PATH", "/run/token", "/run/token"),
])
def test_settings_are_shown_and_secrets_are_not(command, monkeypatch, name, value, shown) -> None:
    monkeypatch.setenv(name, value)
    assert json.loads(command("env", "--json").out)["settings"][name] == shown
