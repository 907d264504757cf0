"""The command `enfold`: run, chat, info, env, train, convert, quantize, plot, cache, launch.

A command's module is imported when it is called, so `--help` costs little more than Python itself.
An error is one line on stderr that says what to do; exit codes are 0, 1 (failed), 2 (wrong usage),
130 (Ctrl-C) and 141 (whoever read our output went away).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from enfold.cli.parser import parse
from enfold.errors import EnfoldError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (`argv` defaults to the process's arguments) and return its exit code."""
    args = parse(sys.argv[1:] if argv is None else argv)
    debug = args.debug or os.environ.get("ENFOLD_DEBUG", "0") not in ("", "0")
    try:
        code: int = import_module(f"enfold.cli.{args.command}").main(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit is quiet
        return 141
    except Exception as error:
        if debug:
            raise
        print(f"enfold {args.command}: {one_line(error)}", file=sys.stderr)
        return 1
    return code


def one_line(error: Exception) -> str:
    """What went wrong and what to do, without line breaks."""
    text = " ".join(str(error).split())
    if isinstance(error, EnfoldError):
        return text
    if isinstance(error, OSError) and error.filename:
        return f"cannot read {error.filename}: {error.strerror}. Do: check the path"
    return f"{type(error).__name__}: {text}. Do: run it with --debug to see where"
