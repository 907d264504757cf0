"""The command line itself: help, errors of one line, exit codes, no torch before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import enfold.cli
from enfold.errors import FileMissing


def test_help_names_every_command_and_loads_little(python) -> None:
    done = python("-X", "importtime", "-m", "enfold", "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("run", "chat", "info", "env", "examples:"))
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in modules
    assert modules.isdisjoint({"torch", "numpy", "tokenizers", "huggingface_hub", "json"})


@pytest.mark.parametrize("name", ["run", "chat", "info", "env"])
def test_each_command_has_help(command, name: str) -> None:
    done = command(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: enfold {name}")


def test_version(command) -> None:
    assert command("--version").out.startswith("enfold 0.")


@pytest.mark.parametrize(("argv", "message"), [
    ([], "enfold: the following arguments are required: COMMAND. Do: enfold --help"),
    (["run"], "enfold run: the following arguments are required: TASK. Do: enfold run --help"),
    (["chat"], "enfold chat: the following arguments are required: --model/-m. "
               "Do: enfold chat --help"),
    (["run", "t", "--set", "a"], "enfold run: argument --set: expected KEY=VALUE, got 'a'. "
                                 "Do: enfold run --help"),
    (["run", "t", "--batch-size", "x"], "enfold run: argument --batch-size: invalid int value: "
                                        "'x'. Do: enfold run --help"),
    (["env", "--colour"], "enfold env: unknown argument --colour. Do: enfold env --help"),
    (["env", "now"], "enfold env: unknown argument now. Do: enfold env --help"),
    (["run", "t", "--model", "m", "--temp", "1", "text"],
     "enfold run: unknown argument --temp. Do: enfold run --help"),
])
def test_wrong_usage_is_one_line_and_code_2(command, argv: list[str], message: str) -> None:
    done = command(*argv)
    assert (done.code, done.out, done.err) == (2, "", message + "\n")


@pytest.mark.parametrize(("error", "message"), [
    (FileMissing("no such model.\nDo: give a folder"), "no such model. Do: give a folder"),
    (FileNotFoundError(2, "No such file or directory", "x.txt"),
     "cannot read x.txt: No such file or directory. Do: check the path"),
    (ZeroDivisionError("division by zero"),
     "ZeroDivisionError: division by zero. Do: run it with --debug to see where"),
])
def test_a_failure_is_one_line_and_code_1(command, monkeypatch, error, message: str) -> None:
    monkeypatch.setattr("enfold.cli.env.report", raiser(error))
    done = command("env")
    assert (done.code, done.out, done.err) == (1, "", f"enfold env: {message}\n")


@pytest.mark.parametrize("by", ["option", "option before", "variable"])
def test_debug_shows_the_traceback(command, monkeypatch, by: str) -> None:
    monkeypatch.setattr("enfold.cli.env.report", raiser(ValueError("deep down")))
    argv = {"option": ["env", "--debug"], "option before": ["--debug", "env"], "variable": ["env"]}
    if by == "variable":
        monkeypatch.setattr(enfold.cli.os, "environ", {"ENFOLD_DEBUG": "1"})
    with pytest.raises(ValueError, match="deep down"):
        command(*argv[by])


def test_interrupt_leaves_with_130_and_no_traceback(command, monkeypatch) -> None:
    monkeypatch.setattr("enfold.cli.env.report", raiser(KeyboardInterrupt()))
    assert command("env") == (130, "", "\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f"{sys.executable} -m enfold env --json | head -c 1; echo; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split()[1] in ("0", "141")  # 0: all was in the pipe before it closed


def raiser(error: BaseException):
    def fail(*_: object) -> None:
        raise error

    return fail
