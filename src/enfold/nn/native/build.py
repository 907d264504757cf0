"""Build the native library: `python -m enfold.nn.native.build`, also run by `pip install`.

Every `native/*.cpp` is compiled once per level (a set of instructions that processors have
together) and each level is linked into a library of its own, so that no code of one level can
reach a processor that lacks it.  Only what changed is compiled again.  Imports nothing of enfold:
setup.py runs this file before enfold is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[3] / "native"
AVX2 = "-mavx2 -mfma -mf16c"
AVX512 = f"{AVX2} -mavx512f -mavx512bw -mavx512dq -mavx512vl"
BF16 = f"{AVX512} -mavx512vnni -mavx512bf16"
AMX = f"{BF16} -mamx-tile -mamx-bf16 -mamx-int8"
X86 = {"amx": AMX, "avx512bf16": BF16, "avx512": AVX512, "avx2": AVX2, "base": ""}
LEVELS: dict[str, str] = X86 if platform.machine() in ("x86_64", "AMD64") else {"base": ""}
FLAGS = ("-std=c++17 -O3 -fPIC -fvisibility=hidden -fno-math-errno -fno-trapping-math -Wall "
         "-Wextra -Wno-uninitialized -Wno-maybe-uninitialized")  # set off by GCC's own headers
DECLARED = re.compile(r"\bENFOLD\b[^{;]*|^struct \w+ \{[^}]*", re.MULTILINE)
PROBE = "probe.cpp"  # asks the processor what it has: compiled without a level's instructions


@dataclass(frozen=True)
class Plan:
    """What to build: sources, where objects and libraries go, flags besides the level's."""

    compiler: tuple[str, ...]
    sources: tuple[Path, ...]
    objects: Path
    target: Path
    extra: tuple[str, ...] = ()


@cache
def interface() -> str:
    """A digest of what sources declare for Python; "" where there are no sources.

    A library that was built from other declarations would be called with wrong arguments.
    """
    paths = sorted((*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp")))
    texts = [path.read_text() for path in paths]
    found = [part for text in texts for part in DECLARED.findall(text)]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16] if texts else ""


def library_name(level: str) -> str:
    """The file of a level."""
    return f"_enfold_{level}.so"


def compiler() -> tuple[str, ...] | None:
    """$CXX if that is a program, or else the first C++ compiler on the path; None without one."""
    given = shlex.split(os.environ.get("CXX", ""))
    if given:
        return tuple(given) if shutil.which(given[0]) else None
    found = (shutil.which(name) for name in ("g++", "c++", "clang++"))
    return next(((path,) for path in found if path), None)


def build(target: Path = HERE, names: list[str] | None = None, extra: tuple[str, ...] = (),
          levels: list[str] | None = None) -> dict[str, str]:
    """Libraries of every level in `target`; {level: what went wrong} for those that failed.

    names: files below native/ to build instead of all.  extra: flags, e.g. for sanitizers.
    """
    command = compiler()
    if command is None:
        given = os.environ.get("CXX")
        return dict.fromkeys(LEVELS, f"CXX={given} is no program: correct or unset it" if given
                             else "no C++ compiler: install g++ or set CXX")
    if not SOURCES.is_dir():
        return dict.fromkeys(LEVELS, f"no sources: {SOURCES} does not exist")
    sources = tuple(SOURCES / name for name in names) if names else _all_sources()
    mode = "-".join(flag.strip("-=") for flag in extra).replace("/", "_") or "plain"
    objects = SOURCES.parent / "build" / "native" / mode
    plan = Plan(command, sources, objects, target, extra)
    target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        chosen = levels or list(LEVELS)
        failures = pool.map(lambda level: _level(plan, level), chosen)
        return {level: why for level, why in zip(chosen, failures, strict=True) if why}


def _all_sources() -> tuple[Path, ...]:
    return tuple(path for path in sorted(SOURCES.glob("*.cpp")) if path.name != PROBE)


def _level(plan: Plan, level: str) -> str:
    """Compile and link one level; the compiler's message, or "" if all is well."""
    try:
        objects = [_compile(plan, level, source) for source in (SOURCES / PROBE, *plan.sources)]
        _link(plan, level, objects)
    except subprocess.CalledProcessError as error:
        return f"{shlex.join(error.cmd)}\n{error.stderr}"
    return ""


def _compile(plan: Plan, level: str, source: Path) -> Path:
    made = plan.objects / level / f"{source.stem}.o"
    made.parent.mkdir(parents=True, exist_ok=True)
    whole = "*" if source.name == PROBE else "*.h"  # the probe holds a digest of all sources
    headers = max(path.stat().st_mtime for path in [*SOURCES.glob(whole), Path(__file__), source])
    if made.exists() and made.stat().st_mtime > headers:
        return made
    own = [] if source.name == PROBE else LEVELS[level].split()
    part = made.with_suffix(f".{os.getpid()}.o")
    _run([*plan.compiler, *FLAGS.split(), "-fopenmp", *own, *plan.extra,
          f"-DENFOLD_LEVEL_{level.upper()}", f'-DENFOLD_INTERFACE="{interface()}"',
          "-c", str(source), "-o", str(part)])
    os.replace(part, made)
    return made


def _link(plan: Plan, level: str, objects: list[Path]) -> None:
    made = plan.target / library_name(level)
    if made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in objects):
        return
    part = made.with_suffix(f".{os.getpid()}")
    _run([*plan.compiler, "-shared", "-fopenmp", *plan.extra, *map(str, objects), "-o", str(part)])
    os.replace(part, made)  # a process that has the old one open keeps it


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def main() -> int:
    """Build, and say what failed."""
    parser = argparse.ArgumentParser(prog="python -m enfold.nn.native.build",
                                     description="Compile native/*.cpp for every level.")
    parser.add_argument("names", nargs="*", help="files below native/ (default: all)")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of the libraries")
    parser.add_argument("--level", action="append", choices=LEVELS, help="only these levels")
    parser.add_argument("--flags", default="", help="further flags, as one text")
    args = parser.parse_args()
    failed = build(args.to.resolve(), args.names, tuple(args.flags.split()), args.level)
    for level, why in failed.items():
        print(f"{level}: not built\n{why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
