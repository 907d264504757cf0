"""Damaged Arrow files: an error that names the file, never a crash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enfold.data import Dataset, disable_progress_bars, load_from_disk
from enfold.errors import DataFileError
from tests.data.faults.conftest import ROWS

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "empty": lambda data: b"",
    "a byte": lambda data: data[:1],
    "cut in the length": lambda data: data[:6],
    "cut in the schema": lambda data: data[:100],
    "cut after the schema": lambda data: data[:len(data) // 100],
    "cut in the rows": lambda data: data[:len(data) // 2],
    "cut near the end": lambda data: data[:-1000],
    "another header": lambda data: b"\x00" * 16 + data[16:],
    "a length too large": lambda data: data[:4] + b"\xff\xff\xff\x7f" + data[8:],
    "a schema of ones": lambda data: data[:8] + b"\xff" * 120 + data[128:],
    "text": lambda data: b"text,label\n" * 100,
}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    disable_progress_bars()


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_from_file(file: str, damage: Damage, in_memory: bool) -> None:
    path = Path(file)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=file) as told:
        Dataset.from_file(file, in_memory=in_memory)
    assert "Expected" in str(told.value) and "Do: " in str(told.value)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_load_from_disk(tmp_path: Path, file: str, damage: Damage) -> None:
    folder = tmp_path / "saved"
    Dataset.from_file(file).save_to_disk(str(folder))
    assert load_from_disk(str(folder))[-1]["n"] == ROWS - 1
    path = next(folder.glob("*.arrow"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=str(path)):
        load_from_disk(str(folder))


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\x00"])
def test_descriptions_of_saved_ones(tmp_path: Path, file: str, name: str, text: str) -> None:
    folder = tmp_path / "saved"
    Dataset.from_file(file).save_to_disk(str(folder))
    (folder / name).write_text(text)
    if name == "dataset_info.json" and text == '{"a": 1}':
        assert len(load_from_disk(str(folder))) == ROWS  # an info that knows nothing
        return
    with pytest.raises(DataFileError, match=str(folder / name)):
        load_from_disk(str(folder))


def test_a_file_that_is_missing(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "saved"
    Dataset.from_file(file).save_to_disk(str(folder))
    path = next(folder.glob("*.arrow"))
    path.unlink()
    with pytest.raises(DataFileError, match=f"{path}: is named by state.json and is not there"):
        load_from_disk(str(folder))


FLIPS = """
import sys
from pathlib import Path
from enfold.data import Dataset, disable_progress_bars
from enfold.errors import EnfoldError
disable_progress_bars()
path, whole = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
told = 0
for place in range(int(sys.argv[3]), int(sys.argv[4])):
    for bit in (1, 0x80):
        path.unlink(missing_ok=True)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1:])
        try:
            rows = Dataset.from_file(str(path))
            len(rows), rows.features, rows.column_names
        except EnfoldError as error:
            assert str(path) in str(error), error
            told += 1
print(told)
"""


def test_any_byte_of_the_metadata(tmp_path: Path, file: str) -> None:
    """A flipped bit is told, or does no harm to opening the file."""
    shutil.copy(file, tmp_path / "whole.arrow")
    done = subprocess.run([sys.executable, "-c", FLIPS, str(tmp_path / "flipped.arrow"), file, "0",
                           "500"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
