"""Fine-tuning beside transformers' Trainer and peft: tokens per second, peak memory, start.

Goals: MiniLM on ragged texts 2.5x in fp32; LoRA on a Llama of 250M 1.8x in fp32, 1.3x in bf16; peak
RSS at most 0.8 of theirs, from the start of the process to its first step at most half of their
time.

Each run is a process of its own with the same script but for its imports (`_finetune.py`), theirs
and ours in turn. Tokens are those of the texts, without padding; the first two steps are not
counted. Both see the same batches in the same order; "loss" is the mean over the run.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

from _models import checkpoint
from _report import Row, child, run

TASKS = {"minilm": (2.5, 30), "lora-fp32": (1.8, 8), "lora-bf16": (1.3, 12)}


def rows(quick: bool, task: str | None = None) -> list[Row]:
    """A row for each task."""
    tasks = {"minilm": (2.5, 4), "lora-quick": (None, 4)} if quick else TASKS
    chosen = {name: facts for name, facts in tasks.items() if task in (None, name)}
    for name in chosen:
        if name.startswith("lora"):
            checkpoint("tiny-llama" if quick else "llama-250m")
    return [line(name, goal, steps, 1 if quick else 3) for name, (goal, steps) in chosen.items()]


def line(name: str, goal: float | None, steps: int, repeats: int) -> Row:
    """Both libraries in turn."""
    script, found = Path(__file__).parent / "_finetune.py", []
    for _ in range(repeats):
        found.append([child(script, library, name, steps, threads=threads())
                      for library in ("theirs", "enfold")])
    theirs, ours = (list(runs) for runs in zip(*found, strict=True))

    def middle(runs: list[dict[str, float]], key: str) -> float:
        return median(each[key] for each in runs)

    speed = median(b["tokens/s"] / a["tokens/s"] for a, b in found)
    return {"task": name, "theirs tok/s": middle(theirs, "tokens/s"),
            "ours tok/s": middle(ours, "tokens/s"), "ratio": speed, "goal": goal or "",
            "their loss": middle(theirs, "loss"), "our loss": middle(ours, "loss"),
            "their peak": middle(theirs, "peak"), "our peak": middle(ours, "peak"),
            "RSS ratio": middle(ours, "peak") / middle(theirs, "peak"),
            "their start": middle(theirs, "first"), "our start": middle(ours, "first"),
            "start ratio": middle(ours, "first") / middle(theirs, "first")}


def threads() -> int:
    """As many as this process was given."""
    import torch

    return torch.get_num_threads()


if __name__ == "__main__":
    run("training", __file__, __doc__, rows, threads=(1, 2),
        peers=("torch", "transformers", "peft"),
        options={"task": {"help": "one of minilm, lora-fp32, lora-bf16"}})
