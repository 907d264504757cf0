"""What a pass leaves behind: found again by fresh processes, new columns only, nothing half."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest

from enfold.data import disable_caching, enable_caching
from enfold.data.cache import Store
from enfold.data.dataset import Dataset

ROWS = 3000


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("enfold.data.executor.progress._disabled", True)
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.arrow"
    table = pa.table({"text": [f"row {i} " + "x" * 100 for i in range(ROWS)],
                      "n": list(range(ROWS))})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    return str(path)


def size(folder) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.arrow") if path.is_file())


def test_only_new_columns_are_written(file, store):
    ds = Dataset.from_file(file)
    for number in range(3):
        ds = ds.map(lambda row, n=number: {f"m{n}": row["n"] + n}).cache()
    assert ds[ROWS - 1]["m2"] == ROWS + 1
    assert size(store) < 3 * (8 * ROWS + 2000)
    assert len(ds.cache_files) == 4


def test_a_filter_writes_row_numbers_only(file, store):
    ds = Dataset.from_file(file).filter(lambda row: row["n"] % 2 == 0).cache()
    assert ds["n"][:] == list(range(0, ROWS, 2))
    assert size(store) < 8 * ROWS / 2 + 2000


def test_a_row_returned_whole_is_shared(file, store):
    def returned(row):
        row["m"] = row["n"]
        return row

    Dataset.from_file(file).map(returned).cache()
    assert size(store) < 8 * ROWS + 2000


def test_a_column_that_changes_late_is_whole(file):
    def late(row):
        return {"text": row["text"] if row["n"] < 2300 else "late", "m": 1}

    ds = Dataset.from_file(file).map(late)
    texts = ds["text"][:]
    assert texts[0].startswith("row 0 x")
    assert texts[2299].startswith("row 2299")
    assert texts[2300:] == ["late"] * 700
    parallel = Dataset.from_file(file).map(late, num_proc=2, new_fingerprint="other")
    assert parallel["text"][:] == texts


def test_a_filter_and_a_late_column(file):
    ds = Dataset.from_file(file).filter(lambda row: row["n"] % 3 == 0)
    ds = ds.map(lambda row: {"text": row["text"] if row["n"] < 2500 else "late"})
    rows = ds[:]
    assert rows["n"] == list(range(0, ROWS, 3))
    assert [text[:3] for text in rows["text"]] == ["row" if n < 2500 else "lat"
                                                   for n in rows["n"]]


SCRIPT = """
    import sys
    from enfold.data import disable_progress_bars
    from enfold.data.dataset import Dataset
    disable_progress_bars()

    class Shift:
        def __init__(self, by):
            self.by = by
        def add(self, row):
            calls("shift")
            return {"m": row["n"] + self.by}

    def calls(what):
        with open(sys.argv[2], "a") as log:
            log.write(what + " ")

    def helper(text):
        return len(text) + int(sys.argv[3])

    def length(row):
        calls("length")
        return {"length": helper(row["text"])}

    ds = Dataset.from_file(sys.argv[1])
    ds = ds.map(length).map(Shift(CONSTANT).add)
    ds = ds.filter(lambda row: row["length"] > 0)
    print(len(ds), ds[2999]["m"])
"""


def run_script(tmp_path, file, constant=5):
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(textwrap.dedent(SCRIPT).replace("CONSTANT", str(constant)))
    log.write_text("")
    done = subprocess.run([sys.executable, str(script), file, str(log), "0"], capture_output=True,
                          text=True, env={**os.environ, "PYTHONHASHSEED": "random"}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), log.read_text().split()


def test_fresh_processes_run_nothing_again(tmp_path, file):
    result, calls = run_script(tmp_path, file)
    assert result == ["3000", "3004"]
    assert len(calls) == 2 * ROWS
    for _ in range(2):
        again, calls = run_script(tmp_path, file)
        assert again == result
        assert calls == []
    changed, calls = run_script(tmp_path, file, constant=6)
    assert changed == ["3000", "3005"]
    assert calls.count("shift") == ROWS


def test_a_truncated_result_is_computed_again(file, store):
    def work(row):
        return {"m": row["n"]}

    Dataset.from_file(file).map(work).cache()
    damaged = next(path for path in store.rglob("0*.arrow") if path.is_file())
    os.truncate(damaged, damaged.stat().st_size // 2)
    assert Dataset.from_file(file).map(work)["m"][:] == list(range(ROWS))


def test_without_caching_no_file_is_left(file, store, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    disable_caching()
    try:
        ds = Dataset.from_file(file).map(lambda row: {"m": row["n"]})
        assert ds["m"][:] == list(range(ROWS))
        del ds
    finally:
        enable_caching()
    assert not list(store.rglob("*.arrow"))
    assert not list(temporary.iterdir())


def test_a_failing_pass_leaves_nothing(file, store):
    ds = Dataset.from_file(file).map(lambda row: {"m": 1 // (row["n"] - 2900)})
    with pytest.raises(ZeroDivisionError):
        ds.cache()
    assert not list(store.rglob("0*.arrow"))
    with pytest.raises(ZeroDivisionError):
        ds.cache()


def test_not_reusing_computes_again(file, tmp_path):
    log = tmp_path / "log"

    def work(row):
        with log.open("a") as out:
            out.write("x")
        return {"m": row["n"]}

    for _ in range(2):
        Dataset.from_file(file).map(work, load_from_cache_file=False).cache()
    assert len(log.read_text()) == 2 * ROWS


def test_what_has_no_digest_is_said_and_run_at_once(file, caplog):
    lock = __import__("threading").Lock()

    def work(row):
        with lock:
            return {"m": row["n"]}

    ds = Dataset.from_file(file).map(work)
    assert ds.plan.done
    assert "pass new_fingerprint=" in caplog.text
    named = Dataset.from_file(file).map(work, new_fingerprint="work-1")
    assert Store().find("work-1") is not None
    assert named["m"][5] == 5


def test_kept_in_memory_writes_nothing(file, store):
    ds = Dataset.from_file(file).map(lambda row: {"m": row["n"]}, keep_in_memory=True)
    assert ds["m"][:] == list(range(ROWS))
    assert not list(store.rglob("*.arrow"))


@pytest.mark.parametrize("count", [1, 2])
def test_processes_do_not_change_a_result(file, count):
    ds = Dataset.from_file(file)
    ds = ds.map(lambda b: {"first": [b["n"][0]] * len(b["n"])}, batched=True, batch_size=70,
                num_proc=count)
    ds = ds.filter(lambda row: row["n"] % 7 > 0, num_proc=count)
    ds = ds.map(lambda b, i: {"i": i, "size": [len(i)] * len(i)}, batched=True, with_indices=True,
                batch_size=50, num_proc=count)
    kept = [n for n in range(ROWS) if n % 7]
    assert ds["n"][:] == kept
    assert ds["first"][:] == [n // 70 * 70 for n in kept]
    assert ds["i"][:] == list(range(len(kept)))
    assert ds["size"][:] == [50] * (len(kept) // 50 * 50) + [len(kept) % 50] * (len(kept) % 50)


def test_ranks(file):
    ds = Dataset.from_file(file).map(lambda row, rank: {"rank": rank}, with_rank=True, num_proc=2)
    assert ds["rank"][:] == [0] * 1500 + [1] * 1500


def test_layout_is_readable(file, store):
    Dataset.from_file(file).map(lambda row: {"m": row["n"]}).cache()
    layout = json.loads(next(store.rglob("layout.json")).read_text())
    assert layout["names"] == ["text", "n", "m"]
    assert layout["segments"][0]["shared"] == {"text": "text", "n": "n"}
