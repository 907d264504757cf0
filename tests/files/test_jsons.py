"""JSON files: errors that point at the place, and transformers' way of writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enfold.errors import ConfigError, FileMissing
from enfold.files import read_json, write_json


def test_round_trip_in_transformers_format(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": {"ü": True}}
    write_json(tmp_path / "c.json", value)
    assert read_json(tmp_path / "c.json") == value
    text = (tmp_path / "c.json").read_text()
    assert text.startswith('{\n  "a": {\n    "\\u00fc": true\n')
    assert text.endswith("}\n")
    write_json(tmp_path / "c.json", value, sort_keys=False, ensure_ascii=False)
    assert (tmp_path / "c.json").read_text("utf-8").startswith('{\n  "b"')
    assert "ü" in (tmp_path / "c.json").read_text("utf-8")
    assert os.listdir(tmp_path) == ["c.json"]


def test_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "c.json") == {"a": 1}


@pytest.mark.parametrize(("content", "message"), [
    (b'{"a": 1,\n  "b": tru}', "bad JSON at line 2, column 8: Expecting value, near "),
    (b'{"a": tru}', "bad JSON at line 1, column 7: Expecting value, near '{\"a\": tru}'. Do: mend "
                    "that line, or download the file again (force_download=True)"),
    (b" \n", "empty. Expected JSON: download it again (force_download=True)"),
    (b"[1]", "holds a JSON list. Expected an object, {...}, at the top"),
    (b'{"a": "\xff"}', "not UTF-8 at byte 7. Expected a JSON file"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file itself. "
                                                      "Do: run `git lfs pull` there"),
])
def test_damage(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileMissing) as caught:
        read_json(tmp_path / "c.json")
    assert str(caught.value) == f"{tmp_path / 'c.json'}: no such file. Expected a JSON file"


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "c.json", {"old": 1})

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "c.json", {"new": 1})
    assert read_json(tmp_path / "c.json") == {"old": 1}
    assert os.listdir(tmp_path) == ["c.json"]
