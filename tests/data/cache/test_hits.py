"""Digest and cache together: the same script hits in fresh processes, any change misses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

SCRIPT = """
import sys
from enfold.data.cache import Store
from enfold.data.fingerprint import digest

STOP = {"a", "the", "of", "and", "or", "an"}

class Cleaner:
    def __init__(self, words): self.words, self.seen = words, {}
    def __call__(self, row): return [w for w in row if w not in self.words]

def helper(row): return [word.lower() for word in row]

def make(cleaner, n=2):
    def clean(row): return cleaner(helper(row))[:n], STOP
    return clean

done = []
for function in (make(Cleaner(STOP)), lambda row: helper(row) + sorted(STOP), Cleaner(STOP)):
    Store(sys.argv[1]).obtain(digest(function), lambda path: done.append(path.write_bytes(b"x")))
print(len(done))
"""
CHANGES = [  # old, new, how many of the three have to be computed again
    ("", "", 0), ("import sys", "# another comment\n\nimport sys", 0), ("n=2", "n=3", 1),
    ('"an"', '"on"', 3), ("word.lower()", "word.upper()", 2), ("not in", "in", 2),
    ("+ sorted", "* 1 + sorted", 1), ("self.seen = words, {}", "self.seen = words, {1: 1}", 2),
]


def test_five_processes_hit_and_changes_miss(python: Callable[..., CompletedProcess[str]],
                                             tmp_path: Path) -> None:
    def computed(name: str, text: str) -> int:
        script = tmp_path / name
        script.write_text(text)
        done = python(script, tmp_path / "cache", env={"PYTHONHASHSEED": "random"})
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    assert [computed(f"run{n}.py", SCRIPT) for n in range(5)] == [3, 0, 0, 0, 0]
    for place, (old, new, missed) in enumerate(CHANGES):
        assert computed(f"changed{place}.py", SCRIPT.replace(old, new) if old else SCRIPT) == missed
