"""The library: it is found, chosen, switched off, and everything works without it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from enfold.errors import ArgumentError
from enfold.nn.native import library
from enfold.nn.native.build import build, compiler
from enfold.nn.native.library import I64, INT, P, choose, declare, describe, level, levels, using

square_sum = declare("enfold_square_sum", P, I64, INT, result=ctypes.c_double)


@pytest.mark.parametrize("wanted", levels())
@pytest.mark.parametrize("threads", [1, 3])
def test_every_level_computes(wanted, threads):
    x = torch.randn(5000)
    with using(wanted):
        found = square_sum()(x.data_ptr(), len(x), threads)
    assert found == pytest.approx(float(x.double().square().sum()))


def test_a_block_without_the_library():
    before = level()
    with using(None):
        assert level() is None
        assert square_sum() is None
    assert level() == before


def test_a_function_that_is_not_there_is_none():
    assert declare("enfold_no_such_thing", P)() is None


@pytest.mark.parametrize("wanted", ["0", "off", "False"])
def test_switched_off(wanted, monkeypatch):
    assert choose(wanted) is None
    monkeypatch.setenv("ENFOLD_NATIVE", wanted)
    monkeypatch.setattr(library, "_level", None)
    assert describe() == "off (ENFOLD_NATIVE)"


def test_an_unknown_level_raises():
    with pytest.raises(ArgumentError, match="got 'sse9', expected 0, 1 or one of"):
        choose("sse9")


def test_libraries_that_are_not_built(tmp_path):
    code = ("from enfold.nn.native.library import describe, level\n"
            "assert level() is None\nprint(describe())")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                           env={**os.environ, "ENFOLD_NATIVE_PATH": str(tmp_path)}, check=True)
    assert "Do: python -m enfold.nn.native.build" in found.stdout
    code = "from enfold.nn.native.library import level; level()"
    env = {**os.environ, "ENFOLD_NATIVE_PATH": str(tmp_path), "ENFOLD_NATIVE": "base"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env,
                           check=False)
    assert "ENFOLD_NATIVE: base was asked for, but it is not built" in found.stderr


def test_a_broken_library_is_passed_over_and_told(tmp_path, monkeypatch):
    (tmp_path / library.library_name("base")).write_bytes(b"no library")
    monkeypatch.setenv("ENFOLD_NATIVE_PATH", str(tmp_path))
    library.opened.cache_clear()
    try:
        assert levels() == []
        assert "it can't be loaded" in library.reason("base")
    finally:
        library.opened.cache_clear()


@pytest.mark.skipif(not levels(), reason="the native library is not built")
def test_a_library_of_other_sources_is_passed_over_and_told(monkeypatch):
    monkeypatch.setattr(library, "interface", lambda: "another")
    library.opened.cache_clear()
    try:
        assert levels() == []
        assert "it was built from other sources. Do: python -m" in library.reason("base")
    finally:
        library.opened.cache_clear()


def test_without_a_compiler_the_build_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    failed = build(tmp_path)
    assert failed
    assert all("install g++ or set CXX" in why for why in failed.values())
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    assert compiler() is None
    failed = build(tmp_path)
    assert all("CXX=no-such-compiler -O1 is no program" in why for why in failed.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
def test_what_the_compiler_says_is_told(tmp_path):
    failed = build(tmp_path, ["sum.cpp"], extra=("-nonsense",), levels=["base"])
    assert set(failed) == {"base"}
    assert "nonsense" in failed["base"]
