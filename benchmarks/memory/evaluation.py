"""Memory of an evaluation over a large vocabulary: the same for ten times the rows.

    nice python benchmarks/memory/evaluation.py [--rows 20000] [--only loss]

A GPT-2 of width 16 with its whole vocabulary of 50,257 evaluates texts of 512 tokens, in batches of
2, through `Trainer.evaluate` in a process of its own for each way and for a tenth of the rows and
all of them.  All logits together would be 103 MB a row, 2.1 TB for 20,000.

    loss      nothing but the loss
    reduced   compute_metrics, and preprocess_logits_for_metrics that keeps the best token
    batches   compute_metrics over the logits of each batch (batch_eval_metrics)
    whole     compute_metrics and nothing else: refused, as the first batch shows how much it is
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

LENGTH, VOCABULARY, BATCH = 512, 50_257, 2
WAYS = ("loss", "reduced", "batches", "whole")
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print("\n" + json.dumps(evaluated(given.child[0], int(given.child[1]))))
        return
    for way in (given.only,) if given.only else WAYS:
        for rows in (given.rows,) if way == "whole" else (given.rows // 10, given.rows):
            found = child(way, rows)
            print(f"{way:8} {rows:7,} rows  peak {found['peak']:6.0f} MB  {found['cpu']:7.1f} s of "
                  f"CPU time  {found['said']}", flush=True)


def child(way: str, rows: int) -> Any:
    done = subprocess.run([sys.executable, __file__, "--child", way, str(rows)], text=True,
                          check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.strip().splitlines()[-1])


def evaluated(way: str, rows: int) -> dict[str, Any]:
    """Peak memory in MB and CPU seconds of `rows` texts, and what came of it."""
    with TemporaryDirectory() as folder:
        try:
            metrics = trainer(way, rows, folder).evaluate()
            said = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()
                             if name in ("eval_loss", "eval_accuracy"))
        except ValueError as error:
            said = str(error)
    peak = PEAK.search(Path("/proc/self/status").read_text())
    return {"peak": int(peak[1]) / 1024 if peak else 0.0, "cpu": time.process_time(), "said": said}


def trainer(way: str, rows: int, folder: str) -> Any:
    import torch

    from enfold import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(
        "gpt2", vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2, n_positions=LENGTH))
    args = TrainingArguments(folder, per_device_eval_batch_size=BATCH, report_to="none",
                             disable_tqdm=True, use_cpu=True, batch_eval_metrics=way == "batches")
    options: dict[str, Any] = {
        "loss": {}, "whole": {"compute_metrics": whole}, "batches": {"compute_metrics": Batches()},
        "reduced": {"compute_metrics": whole, "preprocess_logits_for_metrics":
                    lambda logits, labels: logits.argmax(-1)}}[way]
    return Trainer(model, args, eval_dataset=Texts(rows), **options)


class Texts:
    """Random texts with their labels, made when they are asked for."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(row)
        ids = torch.randint(VOCABULARY, (LENGTH,), generator=draw)
        return {"input_ids": ids, "labels": ids}


def whole(prediction: Any) -> dict[str, float]:
    """Of all rows at once: the share of tokens that are right."""
    found, labels = prediction
    found = found if found.ndim == 2 else found.argmax(-1)
    return {"accuracy": float((found[:, :-1] == labels[:, 1:]).mean())}


class Batches:
    """The same, batch by batch."""

    right = count = 0

    def __call__(self, prediction: Any, compute_result: bool) -> dict[str, float]:
        hit = prediction.predictions.argmax(-1)[:, :-1] == prediction.label_ids[:, 1:]
        self.right, self.count = self.right + int(hit.sum()), self.count + hit.numel()
        return {"accuracy": self.right / self.count} if compute_result else {}


if __name__ == "__main__":
    main()
