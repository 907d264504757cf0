"""Training and pipelines on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enfold import pipeline
from tests.families.pairs import fresh
from tests.tiny import save_chat_model, save_classifier
from tests.train.trainer.runs import curve, ours, rows


@pytest.mark.parametrize("bf16", [True, False])
def test_the_trainer(bf16, device, tmp_path: Path) -> None:
    """Losses fall as on the CPU, and go on from a checkpoint as without a stop."""
    def made(place, *, cpu: bool):
        torch.manual_seed(0)
        return ours(fresh("llama", "ForCausalLM").ours, tmp_path / place, rows("causal", 32),
                    learning_rate=3e-3, max_steps=20, bf16=bf16 and not cpu, use_cpu=cpu,
                    save_strategy="steps", save_steps=10)

    cpu = device.type == "cpu"
    there, here, again = made("there", cpu=cpu), made("here", cpu=True), made("again", cpu=cpu)
    there.train()
    here.train()
    assert there.model.device.type == device.type
    assert all(p.dtype == torch.float32 for p in there.model.parameters())
    assert curve(there)[-5:] == pytest.approx(curve(here)[-5:], rel=5e-2 if bf16 else 1e-3)
    again.train(resume_from_checkpoint=str(tmp_path / "there" / "checkpoint-10"))
    assert curve(again)[-5:] == pytest.approx(curve(there)[-5:], rel=1e-3)


def test_a_pipeline_that_classifies(device, minilm: Path, tmp_path: Path) -> None:
    save_classifier(tmp_path, minilm)
    texts = ["good", "a much longer text than the first one was", "bad", "so so"] * 5
    where = 0 if device.type == "cuda" else -1
    found = pipeline("text-classification", str(tmp_path), device=where)(texts, batch_size=8)
    wanted = pipeline("text-classification", str(tmp_path), device=-1)(texts)
    for ours_, theirs in zip(found, wanted, strict=True):
        assert ours_["label"] == theirs["label"]
        assert ours_["score"] == pytest.approx(theirs["score"], abs=1e-4)


def test_a_pipeline_that_writes(device, tmp_path: Path) -> None:
    save_chat_model(tmp_path)
    where = 0 if device.type == "cuda" else -1
    texts, options = ["The quick brown", "Pack"], {"max_new_tokens": 20, "do_sample": False}
    found = pipeline("text-generation", str(tmp_path), device=where)(texts, batch_size=2,
                                                                    **options)
    assert found == pipeline("text-generation", str(tmp_path), device=-1)(texts, **options)
