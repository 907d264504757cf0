"""The cache: results appear whole or not at all, once, and go when there is no room."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enfold.data.cache import (
    CacheFull,
    Store,
    cache_folder,
    cache_limit,
    disable_caching,
    enable_caching,
    entry,
    evict,
    is_caching_enabled,
    ls,
    prune,
    rm,
    verify,
)
from enfold.errors import ArgumentError, FileMissing, InputError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def writes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def fails(path: Path) -> None:
    raise AssertionError(f"{path}: computed again")


def put(store: Store, key: str, data: bytes = b"data", used: float | None = None) -> Path:
    with store.obtain(key, writes(data)) as lease:
        path = lease.path
    if used is not None:
        os.utime(path.with_name("entry.json"), (used, used))
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")
                  if path.is_file())


def test_a_result_is_computed_once(store: Store) -> None:
    assert store.find("abc1") is None and store.lease("abc1") is None
    with store.obtain("abc1", writes(b"data"), "map") as lease:
        assert lease.path == store.path("abc1") and lease.path.read_bytes() == b"data"
    with store.obtain("abc1", fails) as again:
        assert again.path == lease.path
    assert files(store.folder) == ["ab/abc1/data.arrow", "ab/abc1/entry.json"]
    (entry,) = ls(store.folder)
    assert (entry.key, entry.size, entry.note, entry.path) == ("abc1", 4, "map", lease.path)
    assert abs(entry.created - time.time()) < 60 and not entry.in_use


def test_a_result_may_be_a_folder(store: Store) -> None:
    with store.write("key") as path:
        assert path is not None
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "b.arrow").write_bytes(b"bb")
        (path / "a.arrow").write_bytes(b"a")
    assert store.find("key") == store.path("key") and ls(store.folder)[0].size == 3
    with store.write("key") as path:
        assert path is None
    (store.path("key") / "deep" / "b.arrow").unlink()
    assert store.find("key") is None


@pytest.mark.parametrize("error", [ValueError("bad row"), KeyboardInterrupt(), SystemExit(1)])
def test_an_exception_leaves_nothing(store: Store, error: BaseException) -> None:
    def build(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        store.obtain("key", build)
    assert files(store.folder) == [] and store.find("key") is None
    put(store, "key")


def test_nothing_written(store: Store) -> None:
    with pytest.raises(FileMissing, match=r"nothing was written to .*data\.arrow\. Expected the"):
        store.obtain("key", lambda path: None)
    assert files(store.folder) == []


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "-x", "x" * 129, "a b"])
def test_keys_that_are_no_file_names(store: Store, key: str) -> None:
    with pytest.raises(InputError, match="cache key .*: expected up to 128 letters"):
        store.path(key)


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda path: path.write_bytes(path.read_bytes()[:-5]), "data.arrow has 99995 bytes of 100000"),
    (lambda path: path.write_bytes(b""), "data.arrow has 0 bytes of 100000"),
    (lambda path: path.write_bytes(b"x" * 99_999 + b"!"), "data.arrow was altered"),
    (lambda path: path.write_bytes(b"!" + b"x" * 99_999), "data.arrow was altered"),
    (lambda path: path.write_bytes(bytes(100_000)), "data.arrow was altered"),
    (lambda path: path.unlink(), "data.arrow is missing"),
])
def test_damage_is_noticed_and_the_result_rebuilt(
        store: Store, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object],
        says: str) -> None:
    path = put(store, "key", b"x" * 100_000)
    spoil(path)
    with caplog.at_level(logging.WARNING):
        assert store.find("key") is None
    assert f"is not used: {says}" in caplog.text
    assert verify(folder=store.folder) == {"key": says}
    assert put(store, "key", b"new").read_bytes() == b"new"
    assert verify(folder=store.folder) == {} and len(files(store.folder)) == 2


@pytest.mark.parametrize("note", [None, b"", b"{", b"[]", b'{"files": 3}'])
def test_a_spoiled_note_is_no_result(store: Store, note: bytes | None) -> None:
    path = put(store, "key").with_name("entry.json")
    path.unlink() if note is None else path.write_bytes(note)
    assert store.find("key") is None and ls(store.folder) == []
    assert put(store, "key", b"new").read_bytes() == b"new"


def test_a_bit_in_the_middle_is_found_by_verify(store: Store) -> None:
    path = put(store, "key", bytes(1_000_000))
    with open(path, "r+b") as file:
        file.seek(6_000)  # between two samples
        file.write(b"\x01")
    assert store.find("key") == path
    assert verify(["key"], store.folder) == {"key": "data.arrow was altered"}


def test_what_a_machine_wrote_before_it_stopped_is_read_in_full(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt, whole = put(store, "spoilt", bytes(1_000_000)), put(store, "whole", bytes(1_000_000))
    monkeypatch.setattr(entry, "this_boot", lambda: "another")
    with open(spoilt, "r+b") as file:
        file.seek(6_000)  # between two samples
        file.write(b"\x01")
    assert store.find("spoilt") is None and store.find("whole") == whole
    assert put(store, "spoilt", bytes(1_000)).stat().st_size == 1_000
    monkeypatch.setattr(entry, "_whole", None)  # once is enough
    assert store.find("whole") == whole and store.find("spoilt") == spoilt


@pytest.mark.parametrize(("boot", "flushed"), [("this", []), (None, ["data.arrow"])])
def test_files_are_flushed_where_nothing_tells_that_the_machine_stopped(
        store: Store, monkeypatch: pytest.MonkeyPatch, boot: str | None,
        flushed: list[str]) -> None:
    found: list[str] = []
    monkeypatch.setattr(entry, "this_boot", lambda: boot)
    monkeypatch.setattr(entry, "sync_file", lambda path: found.append(path.name))
    path = put(store, "key")
    assert store.find("key") == path and found == flushed


def test_what_others_add_is_counted_now_and_then(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store._limit = 1000
    put(store, "first", bytes(100))
    monkeypatch.setattr(evict, "ls", None)
    put(store, "second", bytes(800))
    monkeypatch.undo()
    put(store, "third", bytes(200))
    assert {found.key for found in ls(store.folder)} == {"second", "third"}


def test_a_full_disk(store: Store) -> None:
    def build(path: Path) -> None:
        path.write_bytes(b"half")
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"data")

    with pytest.raises(CacheFull, match=r"no room for a result in .*cache: .* MB are free\. Do: "
                                        r"`enfold cache prune`, or ENFOLD_CACHE=") as told:
        store.obtain("key", build)
    assert isinstance(told.value, OSError)
    assert files(store.folder) == []


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    tmp_path.joinpath("disk").mkdir()
    disk = tmp_path / "disk"
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"can't mount a small disk here: {done.stderr.decode().strip()}")
    try:
        store = Store(disk)
        put(store, "one", bytes(500_000))
        with pytest.raises(CacheFull):
            put(store, "two", bytes(900_000))
        assert files(disk) == ["on/one/data.arrow", "on/one/entry.json"]
        assert store.find("one") and rm("one", folder=disk)
        assert put(store, "two", bytes(900_000)).stat().st_size == 900_000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


BUILD = """
import pathlib, sys, time
from enfold.data.cache import Store
def build(path):
    with open(path, "wb") as file:
        for _ in range(10):
            file.write(b"row\\n" * 1000)
            file.flush()
            print("writing", flush=True)
            time.sleep(float(sys.argv[2]))
lease = Store(sys.argv[1]).obtain("shared", build)
print("done", lease.path.stat().st_size, flush=True)
if len(sys.argv) > 3: time.sleep(60)
"""


def start(store: Store, pause: float, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BUILD, str(store.folder), str(pause), *args],
                            stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_share_one_result(store: Store) -> None:
    both = [start(store, 0.02) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].split("\n") for process in both]
    assert sorted(len(lines) for lines in said) == [2, 2, 12]  # one wrote, two waited
    assert {lines[-2] for lines in said} == {"done 40000"}


def test_kill_during_write(store: Store) -> None:
    process = start(store, 5)
    assert line(process) == "writing"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert store.find("shared") is None and ls(store.folder) == []
    assert len(files(store.folder)) == 2  # the draft and the lock file
    assert put(store, "shared", b"anew").read_bytes() == b"anew"
    assert files(store.folder) == ["sh/shared/data.arrow", "sh/shared/entry.json"]


def test_prune_removes_what_the_killed_left_and_nothing_else(store: Store) -> None:
    dead, alive = start(store, 5), None
    assert line(dead) == "writing"
    dead.kill()
    dead.communicate(timeout=30)
    other = Store(store.folder.with_name("other"))
    alive = start(other, 5)
    assert line(alive) == "writing"
    assert prune(folder=store.folder) == [] and prune(folder=other.folder) == []
    assert files(store.folder) == [] and len(files(other.folder)) == 2
    alive.kill()
    alive.communicate(timeout=30)


def test_a_waiting_process_goes_on_when_the_writer_is_killed(store: Store) -> None:
    writer = start(store, 5)
    assert line(writer) == "writing"
    waiting = start(store, 0)
    time.sleep(0.3)
    writer.kill()
    assert waiting.communicate(timeout=30)[0].strip().endswith("done 40000")
    writer.communicate(timeout=30)


def test_a_forked_child_does_not_hold_its_parents_locks(store: Store) -> None:
    code = """
import os, sys, time
from enfold.data.cache import Store
def build(path):
    path.write_bytes(b"half")
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    print("forked", flush=True)
    time.sleep(20)
Store(sys.argv[1]).obtain("shared", build)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(store.folder)],
                               stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert line(process) == "forked"
    process.kill()
    process.wait(timeout=30)
    try:
        assert put(store, "shared", b"anew").read_bytes() == b"anew"  # at once
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_waiting_is_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    writer = start(store, 0.05)
    assert line(writer) == "writing"
    with caplog.at_level(logging.INFO, "enfold.data"):
        store.obtain("shared", fails)
    assert f"waiting for process {writer.pid}, which computes the same" in caplog.text
    writer.communicate(timeout=30)


def test_the_least_recently_used_go_first(store: Store) -> None:
    now = time.time()
    for age, key in enumerate(["new", "mid", "old"]):
        put(store, key, bytes(100), now - 100 * age - 50)
    assert store.find("old") is not None  # used just now
    store._limit = 320
    put(store, "next", bytes(100))
    assert {entry.key for entry in ls(store.folder)} == {"next", "old", "new"}
    assert [entry.key for entry in prune(200, folder=store.folder)] == ["new"]
    assert [entry.key for entry in prune(unused_for=-1, folder=store.folder)] == ["next", "old"]


def test_what_is_in_use_stays(store: Store) -> None:
    put(store, "free", bytes(100))
    lease = store.lease("free")
    holder = start(store, 0, "hold")
    while not line(holder).startswith("done"):
        pass
    assert {entry.key: entry.in_use for entry in ls(store.folder)} == {"free": True, "shared": True}
    assert prune(0, folder=store.folder) == [] and rm("free", folder=store.folder) == []
    assert lease is not None
    lease.close()
    lease.close()
    holder.kill()
    holder.communicate(timeout=30)
    assert {entry.key for entry in prune(0, folder=store.folder)} == {"free", "shared"}


def test_a_lease_ends_with_its_object(store: Store) -> None:
    lease = store.obtain("key", writes(b"data"))
    assert ls(store.folder)[0].in_use
    del lease
    assert not ls(store.folder)[0].in_use
    lease = store.obtain("key", fails)
    assert [entry.key for entry in rm("key", folder=store.folder, force=True)] == ["key"]
    assert not lease.path.exists()
    assert files(store.folder) == []


def test_a_result_above_the_limit_is_kept_until_the_next(store: Store) -> None:
    store._limit = 10
    assert put(store, "large", bytes(100)).exists()
    put(store, "next", bytes(5))
    assert [entry.key for entry in ls(store.folder)] == ["next"]


def test_rm_names_what_is_near(store: Store) -> None:
    put(store, "abcdef")
    with pytest.raises(FileMissing, match=re.escape(
            "has no result 'abcdeg' (nearest: 'abcdef'). Do: `enfold cache ls` shows")):
        rm("abcdeg", folder=store.folder)


def test_disabled_caching_leaves_no_file(store: Store, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    put(store, "key", b"kept")
    disable_caching()
    try:
        assert not is_caching_enabled()
        first, second = store.obtain("key", writes(b"1")), store.obtain("key", writes(b"2"))
        assert (first.path.read_bytes(), second.path.read_bytes()) == (b"1", b"2")
        with pytest.raises(ZeroDivisionError):
            store.obtain("key", lambda path: 1 // 0)
        first.close()
        del second
        assert list((tmp_path / "tmp").iterdir()) == []
    finally:
        enable_caching()
    assert is_caching_enabled() and store.obtain("key", fails).path.read_bytes() == b"kept"


def test_temporary_results_of_the_killed_go_with_the_next(tmp_path: Path) -> None:
    code = """
import os, sys
from enfold.data.cache import Store, disable_caching
disable_caching()
lease = Store(sys.argv[1]).obtain("k", lambda path: path.write_bytes(b"data"))
print(len(os.listdir(os.environ["TMPDIR"])), flush=True)
if len(sys.argv) > 2: os.kill(os.getpid(), 9)
"""
    (tmp_path / "tmp").mkdir()
    for args in (["kill"], []):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "cache"), *args],
                              env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
                              capture_output=True, text=True)
        assert done.stdout == "1\n", done.stderr
    assert files(tmp_path) == []


@pytest.mark.parametrize(("variables", "folder"), [
    ({"ENFOLD_CACHE": "/a", "HF_DATASETS_CACHE": "/b"}, "/a/data"),
    ({"HF_DATASETS_CACHE": "/b", "XDG_CACHE_HOME": "/c"}, "/b/enfold"),
    ({"XDG_CACHE_HOME": "/c"}, "/c/enfold/data"), ({}, "~/.cache/enfold/data"),
    ({"ENFOLD_CACHE": "$HOME/x"}, "~/x/data"), ({"ENFOLD_CACHE": "~/x"}, "~/x/data"),
])
def test_the_folder_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch, folder: str,
                                            variables: dict[str, str]) -> None:
    store = Store()
    for name in ("ENFOLD_CACHE", "HF_DATASETS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store.folder == cache_folder() == Path(folder).expanduser()


def test_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ENFOLD_CACHE_LIMIT", raising=False)
    default = cache_limit(tmp_path / "not" / "there")
    assert default is not None and default > 1e8
    monkeypatch.setenv("ENFOLD_CACHE_LIMIT", "2GB")
    assert cache_limit(tmp_path) == 2 * 10**9
    monkeypatch.setenv("ENFOLD_CACHE_LIMIT", "none")
    assert cache_limit(tmp_path) is None
    monkeypatch.setenv("ENFOLD_CACHE_LIMIT", "much")
    with pytest.raises(ArgumentError, match=re.escape(
            "ENFOLD_CACHE_LIMIT='much': expected a size such as '200GB', '500MB' or 'none'")):
        cache_limit(tmp_path)


def test_without_locks_work_may_be_done_twice_and_nothing_worse(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from enfold.data.cache import lock

    def refuse(handle: int, kind: int) -> bool:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(lock, "_try", refuse)
    with store.write("key") as one, store.write("key") as two:
        assert one is not None and two is not None
        two.write_bytes(b"two")
        one.write_bytes(b"one")
    assert store.path("key").read_bytes() == b"one" and verify(folder=store.folder) == {}
    assert prune(0, folder=store.folder) == []  # perhaps in use
    os.utime(store.path("key").with_name("entry.json"), (0, 0))
    assert len(prune(0, folder=store.folder)) == 1
