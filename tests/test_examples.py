"""The examples run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_sentiment_trains_evaluates_saves_and_answers(minilm: Path, tmp_path: Path) -> None:
    command = [sys.executable, "examples/sentiment.py", "--epochs", "0.3", "--output",
               str(tmp_path), "--model", str(minilm)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "ENFOLD_CACHE": str(tmp_path / "cache"),
           "ENFOLD_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "trainable params: 602,882 || all params: 23,316,868" in done.stdout
    assert "always the commoner class 50.0%" in done.stdout
    assert "I love this movie!" in done.stdout
    assert (tmp_path / "model" / "model.safetensors").is_file()


SCRIPTS = {
    "finetune_classifier": "held-out texts",
    "lora_generate": "held-out answers",
    "question_answering": "held-out questions: exact match",
    "ner": "held-out sentences: precision",
    "translation": "held-out sentences",
    "masked_lm": "guessing by frequency alone",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_train_measure_and_save(name: str, tmp_path: Path) -> None:
    command = [sys.executable, f"examples/{name}.py", "--epochs", "0.2", "--output", str(tmp_path)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "ENFOLD_CACHE": str(tmp_path / "cache"),
           "ENFOLD_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SCRIPTS[name] in done.stdout
    weights = "adapter_model" if name == "lora_generate" else "model"
    assert (tmp_path / f"{weights}.safetensors").is_file()
