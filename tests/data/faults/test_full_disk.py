"""A disk that fills up: an error that names the folder, nothing left, and the next run succeeds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from enfold.data import Dataset, disable_progress_bars, load_from_disk
from enfold.data.cache import CacheFull
from tests.data.faults.conftest import ROWS

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 2 MB that holds the cache."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)],
                              capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"can't mount a small disk here: {done.stderr.strip()}")
    monkeypatch.setenv("ENFOLD_CACHE", str(path))
    disable_progress_bars()
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def files(folder: Path) -> list[str]:
    """What is there, but for locks and the columns of first batches."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
            and ".locks" not in path.parts and not path.parent.name.endswith("-head")]


def longer(row: dict) -> dict:
    return {"long": row["text"] * 20}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_map(disk: Path, file: str, processes: int) -> None:
    rows = Dataset.from_file(file).map(longer, num_proc=processes)
    with pytest.raises(CacheFull, match=rf"no room for a result in {disk}.*Do: `enfold cache pr"):
        rows[-1]
    assert files(disk) == []
    enlarge(disk)
    assert rows[-1]["long"] == rows[-1]["text"] * 20
    assert Dataset.from_file(file).map(longer, num_proc=processes)["long"][7].startswith("row 7 ")


def test_flatten_indices(disk: Path, file: str) -> None:
    rows = Dataset.from_file(file).repeat(10).shuffle(seed=1).flatten_indices()
    with pytest.raises(CacheFull, match=str(disk)):
        rows[-1]
    assert files(disk) == []
    enlarge(disk)
    assert sorted(rows["n"]) == sorted(list(range(ROWS)) * 10)


def test_save_to_disk(disk: Path, file: str) -> None:
    rows = Dataset.from_file(file).repeat(10)
    with pytest.raises(OSError, match=str(disk)):
        rows.save_to_disk(str(disk / "saved"))
    assert files(disk) == []
    enlarge(disk)
    rows.save_to_disk(str(disk / "saved"))
    assert len(load_from_disk(str(disk / "saved"))) == 10 * ROWS


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_files_of_other_formats(disk: Path, file: str, kind: str) -> None:
    rows = Dataset.from_file(file).map(lambda row: {"noise": os.urandom(1000).hex()},
                                       keep_in_memory=True)
    path = disk / f"rows.{kind}"
    with pytest.raises(OSError, match=str(path)):
        getattr(rows, f"to_{kind}")(str(path))
    assert files(disk) == []
