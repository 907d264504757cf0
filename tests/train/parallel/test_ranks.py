"""2 and 4 ranks give what one gives: losses, norms, metrics, weights, whoever wrote the checkpoint.

The ranks of a test run several cases, because starting them takes longest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.files import open_checkpoint
from tests.families.pairs import checkpoint
from tests.train.parallel.worker import run
from tests.train.trainer.runs import rows

WORKER = Path(__file__).with_name("worker.py")
HEADS = {"causal": ("llama", "ForCausalLM", "AutoModelForCausalLM"),
         "seq2seq": ("t5", "ForConditionalGeneration", "AutoModelForSeq2SeqLM")}
PIECES = {"state_dict_type": "SHARDED_STATE_DICT"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def case(folder: Path) -> Callable[..., dict[str, Any]]:
    """The arguments of a run whose optimizer steps see 8 rows, on whatever ranks."""
    def make(name: str, ranks: int, task: str = "causal", lora: bool = False,
             resume: str | None = None, **arguments: Any) -> dict[str, Any]:
        kind, suffix, head = HEADS[task]
        arguments = {"per_device_train_batch_size": 4 // ranks, "per_device_eval_batch_size": 2,
                     **arguments}
        return {"model": str(checkpoint(kind, suffix)), "head": head, "rows": rows(task, 26),
                "output_dir": str(folder / f"{name}-{ranks}"), "arguments": arguments,
                "resume": resume and str(folder / resume), "lora": lora}

    return make


def launch(ranks: int, path: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    path.write_text(json.dumps(cases))
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
         str(ranks), str(WORKER), str(path)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads(Path(f"{path}.out").read_text())
    assert all(result["ranks"] == ranks for result in results)
    return results


@pytest.fixture(scope="module")
def one(case: Callable[..., dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The runs of one process."""
    return {"causal": run(**case("causal", 1)), "seq2seq": run(**case("seq2seq", 1, "seq2seq")),
            "lora": run(**case("lora", 1, lora=True))}


@pytest.fixture(scope="module")
def two(case: Callable[..., dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """The runs of two ranks, which leave checkpoints of step 4."""
    saving = {"save_strategy": "steps", "save_steps": 4, "save_total_limit": 3}
    best = {"eval_strategy": "steps", "eval_steps": 4, "load_best_model_at_end": True}
    cases = {"ddp": case("ddp", 2, **saving),
             "full": case("full", 2, fsdp="full_shard", **saving, **best),
             "pieces": case("pieces", 2, "seq2seq", fsdp="shard_grad_op auto_wrap",
                            fsdp_config=PIECES, **saving),
             "lora": case("lora", 2, lora=True, fsdp="full_shard", **saving)}
    return dict(zip(cases, launch(2, folder / "two.json", [*cases.values()]), strict=True))


@pytest.fixture(scope="module")
def four(case: Callable[..., dict[str, Any]], two: object,
         folder: Path) -> dict[str, dict[str, Any]]:
    """The runs of four ranks: from the start, and on from the checkpoints of two."""
    cases = {"ddp": case("ddp", 4), "full": case("full", 4, fsdp="full_shard",
                                                 resume="full-2/checkpoint-4"),
             "pieces": case("pieces", 4, "seq2seq", fsdp="full_shard", fsdp_config=PIECES,
                            resume="pieces-2/checkpoint-4")}
    return dict(zip(cases, launch(4, folder / "four.json", [*cases.values()]), strict=True))


def same(got: dict[str, Any], wanted: dict[str, Any], metrics: bool = True) -> None:
    for name in ("loss", "grad_norm", "learning_rate", "epoch"):
        # Adam's first steps amplify the rounding of a sum: gradients are off by more than losses
        limit = 1e-4 if name == "grad_norm" else 1e-5
        assert _logged(got, name) == pytest.approx(_logged(wanted, name), abs=1e-5, rel=limit), name
    if metrics:
        for name in ("eval_loss", "eval_score", "eval_rows", "eval_kept"):
            assert got["log"][-1][name] == pytest.approx(wanted["log"][-1][name], abs=1e-4), name


def _logged(result: dict[str, Any], name: str) -> dict[int, float]:
    return {log["step"]: log[name] for log in result["log"] if "loss" in log}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = open_checkpoint(str(folder))
    return {name: checkpoint.get(name) for name in checkpoint}


def test_two_ranks(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert [result["wrapped"] for result in two.values()] == [
        "DistributedDataParallel", "FSDPShell", "FSDPShell", "FSDPShell"]
    same(two["ddp"], one["causal"])
    same(two["full"], one["causal"], metrics=False)  # evaluates the best
    same(two["pieces"], one["seq2seq"])
    same(two["lora"], one["lora"])


def test_four_ranks(one: dict[str, Any], four: dict[str, Any]) -> None:
    same(four["ddp"], one["causal"])
    same(four["full"], one["causal"])
    same(four["pieces"], one["seq2seq"])


@pytest.mark.parametrize(("name", "task"), [("ddp", "causal"), ("full", "causal"),
                                            ("pieces", "seq2seq"), ("lora", "causal")])
def test_one_process_goes_on(name: str, task: str, one: dict[str, Any], two: object,
                             case: Callable[..., dict[str, Any]]) -> None:
    lora = name == "lora"
    done = run(**case(f"{name}-on", 1, task, resume=f"{name}-2/checkpoint-4", lora=lora))
    same(done, one["lora" if lora else task])


def test_files(two: object, one: object, folder: Path) -> None:
    names = {path.name for path in (folder / "full-2" / "checkpoint-8").iterdir()}
    assert {"model.safetensors", "config.json", "optimizer_0", "scheduler.pt", "rng_state_0.pth",
            "rng_state_1.pth", "trainer_state.json", "training_args.bin"} <= names
    assert "optimizer.pt" not in names
    names = {path.name for path in (folder / "pieces-2" / "checkpoint-8").iterdir()}
    assert {"pytorch_model_fsdp_0", "config.json", "optimizer_0"} <= names
    assert "model.safetensors" not in names
    names = {path.name for path in (folder / "lora-2" / "checkpoint-8").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names
    assert "model.safetensors" not in names
    for done, wanted in (("ddp-2", "causal-1"), ("pieces-2", "seq2seq-1")):
        got, want = weights(folder / done / "end"), weights(folder / wanted / "end")
        assert got.keys() == want.keys()
        for name, tensor in got.items():
            torch.testing.assert_close(tensor, want[name], atol=1e-4, rtol=1e-4)
