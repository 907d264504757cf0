"""The tests of the native kernels on a library with AddressSanitizer and UBSan: make check-native.

Options are handed to pytest (`-k attention`).  Needs g++ with its sanitizers; takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "native" / "checked"
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -g1 -O1"


def main() -> int:
    """Build, then test with the sanitizer's runtime loaded first."""
    subprocess.run([sys.executable, "-m", "enfold.nn.native.build", "--to", FOLDER,
                    f"--flags={FLAGS}"], check=True)
    # libstdc++ too: Python lacks it, and the sanitizer would not find what throws errors of torch
    runtime = " ".join(map(_library, ("libasan.so", "libstdc++.so.6")))
    env = os.environ | {"LD_PRELOAD": runtime, "ENFOLD_NATIVE_PATH": str(FOLDER),
                        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own, at its end
                        "OMP_NUM_THREADS": "2"}
    return subprocess.run([sys.executable, "-m", "pytest", "-x", "tests/nn/native",
                           *sys.argv[1:]], env=env, cwd=ROOT, check=False).returncode


def _library(name: str) -> str:
    """Where the compiler has a library."""
    return subprocess.run([os.environ.get("CXX", "g++"), f"-print-file-name={name}"], check=True,
                          capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
