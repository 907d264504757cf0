"""`enfold cache`."""

from __future__ import annotations

import json
import os
import time

import pytest

from enfold.data.cache import Store, ls

DAY = 86_400


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """Three results, used today, two days and forty days ago."""
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path))
    monkeypatch.setenv("ENFOLD_CACHE_LIMIT", "1GB")
    store = Store()
    for key, size, days in (("aaaa1", 1500, 0), ("aaab2", 2_000_000, 2), ("bbbb3", 10, 40)):
        with store.write(key, f"map {key[0]}") as path:
            path.write_bytes(b"x" * size)
        used = time.time() - days * DAY - 1
        os.utime(store.path(key).parent / "entry.json", (used, used))
    return store


def keys() -> list[str]:
    return [entry.key for entry in ls()]


def test_ls_shows_size_age_note_and_key(command, store) -> None:
    done = command("cache", "ls")
    assert done.code == 0
    head, *rows, total = done.out.splitlines()
    assert head.split() == ["size", "last", "used", "what", "key"]
    assert [row.split() for row in rows] == [
        ["1.5", "kB", "1", "second", "ago", "map", "a", "aaaa1"],
        ["2.0", "MB", "2", "days", "ago", "map", "a", "aaab2"],
        ["10", "B", "40", "days", "ago", "map", "b", "bbbb3"]]
    assert {row.index("map") for row in rows} == {head.index("what")}
    assert total == f"3 results, 2.0 MB of at most 1.0 GB, in {store.folder}"


def test_ls_as_json(command, store) -> None:
    with store.lease("aaaa1"):
        found = json.loads(command("cache", "ls", "--json").out)
    assert found["size"] == 2_001_510
    assert found["limit"] == 1_000_000_000
    assert [(one["key"], one["size"], one["note"], one["in_use"]) for one in found["results"]] == [
        ("aaaa1", 1500, "map a", True), ("aaab2", 2_000_000, "map a", False),
        ("bbbb3", 10, "map b", False)]


def test_an_empty_cache_and_another_folder(command, store, tmp_path) -> None:
    done = command("cache", "ls", "--folder", tmp_path / "other")
    assert done == (0, f"0 results, 0 B of at most 1.0 GB, in {tmp_path / 'other'}\n", "")
    command("cache", "rm", "--all", "--folder", tmp_path / "other")
    assert len(keys()) == 3


@pytest.mark.parametrize(("given", "left"), [
    (["aaaa1"], ["aaab2", "bbbb3"]), (["aaaa", "b"], ["aaab2"]), (["--all"], []),
    (["b", "bbbb3"], ["aaaa1", "aaab2"]),
])
def test_rm_by_keys_or_their_beginnings(command, store, given, left) -> None:
    done = command("cache", "rm", *given)
    assert done.code == 0
    assert done.out.startswith(f"removed {3 - len(left)} result")
    assert keys() == left


@pytest.mark.parametrize("given", ["bb", "bbbb3"])
def test_rm_takes_what_belongs_to_a_result(command, store, given) -> None:
    with store.write("bbbb3-head", "columns of map b") as path:
        path.write_bytes(b"x")
    assert command("cache", "rm", given).out.startswith("removed 2 results")
    assert keys() == ["aaaa1", "aaab2"]


@pytest.mark.parametrize(("given", "message"), [
    (["aaa"], "'aaa' begins 2 keys: aaaa1, aaab2. Expected one. Do: write more of it"),
    (["aaax1"], "has no result 'aaax1' (nearest: 'aaaa1'"),
    ([], "got no key. Expected keys or --all"),
    (["aaaa1", "--all"], "got keys and --all"),
])
def test_rm_says_what_it_cannot_find(command, store, given, message) -> None:
    done = command("cache", "rm", *given)
    assert done.code == 1
    assert done.err.startswith("enfold cache: ")
    assert message in done.err
    assert len(keys()) == 3


def test_rm_leaves_what_is_in_use(command, store) -> None:
    with store.lease("aaaa1"):
        done = command("cache", "rm", "--all")
        assert done.code == 1
        assert "in use, and left: aaaa1. Do: end the process" in done.out
        assert keys() == ["aaaa1"]
        found = json.loads(command("cache", "rm", "aaaa1", "--json").out)
        assert found == {"removed": [], "in_use": ["aaaa1"]}
        assert command("cache", "rm", "--force", "aaaa1").code == 0
    assert keys() == []


def test_verify_removes_what_is_damaged(command, store) -> None:
    assert command("cache", "verify").out.startswith("3 checked, 0 damaged, 0 removed")
    store.path("aaab2").write_bytes(b"x" * 1_000)
    done = command("cache", "verify", "--keep")
    assert done.code == 1
    assert done.out.splitlines()[0] == "aaab2: data.arrow has 1000 bytes of 2000000"
    assert command("cache", "verify", "aaaa1", "b").code == 0
    found = command("cache", "verify", "--json")
    assert found.code == 1
    assert json.loads(found.out) == {
        "checked": 3, "damaged": {"aaab2": "data.arrow has 1000 bytes of 2000000"},
        "removed": ["aaab2"]}
    assert keys() == ["aaaa1", "bbbb3"]


@pytest.mark.parametrize(("given", "left"), [
    ([], ["aaaa1", "aaab2", "bbbb3"]), (["--limit", "1MB"], ["aaaa1"]), (["--limit", "0"], []),
    (["--unused", "30"], ["aaaa1", "aaab2"]), (["--unused", "0.5"], ["aaaa1"]),
])
def test_prune_by_size_and_age(command, store, given, left) -> None:
    done = command("cache", "prune", *given)
    assert done.code == 0
    assert f"; left {len(left)} result" in done.out
    assert keys() == left


def test_prune_as_json(command, store) -> None:
    found = json.loads(command("cache", "prune", "--unused", "30", "--json").out)
    assert [one["key"] for one in found["removed"]] == ["bbbb3"]


@pytest.mark.parametrize(("given", "message"), [
    (["prune", "--limit", "much"], "expected a size such as 50GB, got 'much'"),
    (["purge"], "invalid choice: 'purge'"),
    ([], "ACTION"),
    (["ls", "--size"], "unknown argument --size"),
])
def test_wrong_usage(command, given, message) -> None:
    done = command("cache", *given)
    assert done.code == 2
    assert message in done.err
    assert "Do: enfold cache" in done.err
