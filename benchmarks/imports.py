"""What starting costs: imports and the command line, in processes of their own, in turn.

Goals: `import enfold` under 60 ms over bare Python, the pipeline and the Auto classes at most torch
plus 0.3 s and 4x less above torch than transformers, `enfold --help` under 0.2 s.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks._report import Measure, interleaved, report, spread

CODES = {
    "python": "",
    "import enfold": "import enfold",
    "enfold --help": "from enfold.cli import main; main(['--help'])",
    "import torch": "import torch",
    "enfold: pipeline, AutoModelForCausalLM": "from enfold import pipeline, AutoModelForCausalLM",
    "transformers: the same": "from transformers import pipeline, AutoModelForCausalLM",
}
REPEATS = 7


def main() -> None:
    """Print and write one row for each start."""
    found = interleaved({name: starting(code) for name, code in CODES.items()}, REPEATS)
    base, torch = min(found["python"]), min(found["import torch"])
    rows = [{"start": name, **spread(seconds), "over python": (min(seconds) - base) * 1e3,
             "over torch": (min(seconds) - torch) * 1e3 if min(seconds) >= torch else ""}
            for name, seconds in found.items()]
    report("imports", f"Starting, wall time of a process, {REPEATS} times each, interleaved", rows)


def starting(code: str) -> Measure:
    """A measure: seconds that a process running `code` takes."""

    def measure() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return measure


if __name__ == "__main__":
    main()
