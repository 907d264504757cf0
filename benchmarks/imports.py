"""What starting costs: imports and the command line, in processes of their own.

Goals: `import enfold` under 60 ms over bare Python; the pipeline and the Auto classes at most torch
plus 0.3 s and 4x less above torch than transformers; `enfold --help` under 0.2 s.

"over torch" is the best less the best of `import torch`. enfold's names load torch when a model
is read; the rows "and a model's class" ask for all of it.
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from _report import Measure, Row, interleaved, run, timed

NAMES = "pipeline, AutoModelForCausalLM, AutoTokenizer"
CODES = {
    "python": "",
    "import enfold": "import enfold",
    "enfold --help": "from enfold.cli import main; main(['--help'])",
    "import torch": "import torch",
    "enfold: pipeline, Auto classes": f"from enfold import {NAMES}",
    "enfold: and a model's class": f"from enfold import {NAMES}, LlamaForCausalLM as Model; Model",
    "transformers: pipeline, Auto classes": f"from transformers import {NAMES}",
    "transformers: and a model's class": f"from transformers import {NAMES}, LlamaForCausalLM",
}


def rows(quick: bool) -> list[Row]:
    """One row for each start."""
    codes = {name: code for name, code in CODES.items() if not quick or "Auto" not in code}
    found = interleaved({name: starting(code) for name, code in codes.items()},
                        1 if quick else 9, warm=0 if quick else 1)

    def over(name: str, base: str) -> float:
        return (min(found[name]) - min(found[base])) * 1e3

    return [{"start": name, "median ms": median(seconds) * 1e3, "best ms": min(seconds) * 1e3,
             "over python": over(name, "python"), "over torch": over(name, "import torch")}
            for name, seconds in found.items()]


def starting(code: str) -> Measure:
    """A measure: seconds that a process running `code` takes."""
    return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True,
                                        stdout=subprocess.DEVNULL))


if __name__ == "__main__":
    run("imports", __file__, __doc__, rows)
