"""What is uploaded and when, to a Hub in memory."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from enfold.errors import FileMissing
from tests.families.pairs import fresh
from tests.train.trainer.runs import ours, rows
from tests.train.trainer.test_behaviour import Tokenizer

MODEL = {"config.json", "model.safetensors", "training_args.bin", "tokenizer.json"}
RUN = MODEL | {"optimizer.pt", "scheduler.pt", "rng_state.pth", "progress.pt", "trainer_state.json"}


class Hub:
    """A repository: each commit as (message, names of files)."""

    def __init__(self) -> None:
        self.commits: list[tuple[str, set[str]]] = []
        self.made: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.may_go = Event()
        self.may_go.set()

    def client(self, **options: Any) -> Hub:
        return self

    def create_repo(self, repo_id: str, **options: Any) -> SimpleNamespace:
        if self.error is not None:
            raise self.error
        self.made.append({"repo_id": repo_id, **options})
        return SimpleNamespace(repo_id=f"me/{repo_id.removeprefix('me/')}")

    def upload_folder(self, folder_path: Path, commit_message: str, **options: Any) -> Any:
        self.may_go.wait(20)
        names = {str(path.relative_to(folder_path)) for path in folder_path.rglob("*")
                 if path.is_file()}
        self.commits.append((commit_message, names))
        return SimpleNamespace(oid=str(len(self.commits)))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", made.client)
    return made


def trainer(folder: Path, **arguments: Any) -> Any:
    return ours(fresh("bert", "ForSequenceClassification").ours, folder, rows("classes", 8),
                options={"processing_class": Tokenizer()}, push_to_hub=True,
                save_strategy="steps", save_steps=1, max_steps=3, save_total_limit=1, **arguments)


def under(name: str, files: set[str]) -> set[str]:
    return {f"{name}/{file}" for file in files}


@pytest.mark.parametrize(("strategy", "within"), [
    ("every_save", None), ("checkpoint", "last-checkpoint"), ("all_checkpoints", "checkpoint-{}")])
def test_strategies(strategy: str, within: str | None, hub: Hub, tmp_path: Path) -> None:
    run = tmp_path / "run"
    made = trainer(run, hub_strategy=strategy, hub_always_push=True, hub_private_repo=True)
    assert hub.made == [{"repo_id": "run", "private": True, "exist_ok": True}]
    made.train()
    assert [message for message, _ in hub.commits] == [
        f"Training in progress, step {step}" for step in (1, 2, 3)]
    for step, (_, names) in enumerate(hub.commits, 1):
        assert names == MODEL | (under(within.format(step), RUN) if within else set())
    assert {path.name for path in run.iterdir()} == {"checkpoint-3"}  # nothing is left behind


def test_at_the_end(hub: Hub, tmp_path: Path) -> None:
    made = trainer(tmp_path, hub_strategy="end")
    made.train()
    assert not hub.commits
    assert made.push_to_hub(language="en").oid == "1"
    assert hub.commits == [("End of training", MODEL | {"README.md"})]
    assert made.push_to_hub("Again", blocking=False).result().oid == "2"
    made.save_model()
    assert hub.commits[-1][0] == "Model save"


def test_a_save_during_an_upload_is_passed_over(hub: Hub, tmp_path: Path) -> None:
    hub.may_go.clear()

    class Slow(type(trainer(tmp_path))):  # type: ignore[misc]
        def _end_checkpoints(self) -> None:
            hub.may_go.set()
            super()._end_checkpoints()

    made = ours(fresh("bert", "ForSequenceClassification").ours, tmp_path, rows("classes", 8), Slow,
                push_to_hub=True, save_strategy="steps", save_steps=1, max_steps=3)
    made.train()
    assert [message for message, _ in hub.commits] == ["Training in progress, step 1"]


def test_a_wrong_token_fails_before_training(hub: Hub, tmp_path: Path) -> None:
    hub.error = OSError("no such token")
    with pytest.raises(FileMissing, match="can't create run: .*right to write"):
        trainer(tmp_path / "run")


def test_a_failed_upload_ends_no_run(hub: Hub, tmp_path: Path,
                                     caplog: pytest.LogCaptureFixture) -> None:
    made = trainer(tmp_path)
    hub.error = OSError("the cable is out")
    assert made.train().global_step == 3
    assert "was not uploaded: can't upload" in caplog.text and "the cable is out" in caplog.text
