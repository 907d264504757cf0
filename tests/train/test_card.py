"""Model cards, beside those of transformers' Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers.modelcard import parse_log_history as their_history

from enfold.errors import ArgumentError
from enfold.train.card import TrainingSummary, make_markdown_table, parse_log_history
from tests.families.pairs import fresh
from tests.train.trainer.runs import ours, rows, theirs

FIELDS = {"language": "en", "license": "mit", "tags": "demo", "dataset_tags": ["imdb"],
          "dataset": "IMDB", "dataset_args": "plain"}


def accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A trained Trainer, ours and theirs."""
    pair, data = fresh("bert", "ForSequenceClassification"), rows("classes", 12)
    made = []
    for make, model in ((ours, pair.ours), (theirs, pair.theirs)):
        model.config._name_or_path = "google/bert-tiny"
        made.append(make(model, tmp_path_factory.mktemp("runs") / "my-model", data,
                         options={"eval_dataset": data[:8], "compute_metrics": accuracy},
                         per_device_train_batch_size=4, num_train_epochs=2, eval_strategy="epoch",
                         gradient_accumulation_steps=2))
        made[-1].train()
    return made[0], made[1]


def card(trainer: Any, **fields: Any) -> tuple[dict[str, Any], str]:
    """The head and the rest of a card."""
    trainer.create_model_card(**fields)
    _, head, text = (Path(trainer.args.output_dir) / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def section(text: str, title: str) -> list[str]:
    """The lines below a heading that say something, numbers short."""
    lines = text.split(f"### {title}\n")[1].split("\n#")[0].splitlines()
    return [line for line in lines if line.startswith(("-", "|"))]


def test_card_of_a_run(trainers: tuple[Any, Any]) -> None:
    (head, text), (their_head, their_text) = (card(one, **FIELDS) for one in trainers)
    assert head == their_head and head["model-index"][0]["results"][0]["dataset"]["type"] == "imdb"
    assert section(text, "Training results") == section(their_text, "Training results")
    mine, other = (section(one, "Training hyperparameters") for one in (text, their_text))
    assert [line for line in mine if "optimizer" not in line] == [
        line for line in other if "optimizer" not in line]
    assert "- optimizer: adamw_torch_fused with betas (0.9, 0.999) and epsilon 1e-08" in mine
    assert "Fine-tuned from [google/bert-tiny](https://huggingface.co/google/bert-tiny)" in text
    assert any(line.startswith("- Enfold: ") for line in section(text, "Framework versions"))


def test_tags_of_a_card_that_is_there_stay(trainers: tuple[Any, Any]) -> None:
    (Path(trainers[0].args.output_dir) / "README.md").unlink(missing_ok=True)
    card(trainers[0], tags=["first"])
    head, _ = card(trainers[0])
    assert head["tags"] == ["first", "generated_from_trainer"]
    with pytest.raises(ArgumentError, match="unknown argument 'langauge' .nearest: 'language'"):
        trainers[0].create_model_card(langauge="en")


def test_history(trainers: tuple[Any, Any]) -> None:
    history = trainers[0].state.log_history
    lines, results = parse_log_history(history)
    _, their_lines, their_results = their_history(history)
    assert [{**line} for line in lines] == their_lines and results == their_results
    assert parse_log_history([]) == ([], None)


def test_a_bare_card() -> None:
    text = TrainingSummary("m").to_model_card()
    assert yaml.safe_load(text.split("---\n")[1]) == {
        "library_name": "transformers", "model-index": [{"name": "m", "results": []}]}
    assert "Trained on data that is not named." in text
    assert text.count("More information needed") == 4


def test_table() -> None:
    assert make_markdown_table([{"Step": 1, "F1": 0.123456}, {"Step": 20, "F1": 1e-05}]) == (
        "| Step | F1     |\n|:----:|:------:|\n| 1    | 0.1235 |\n| 20   | 1e-05  |")
