"""evaluate and predict: transformers' numbers and arrays, and only what is asked for in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from enfold.data import Dataset
from enfold.errors import ConfigError
from enfold.train.arguments import Seq2SeqTrainingArguments
from enfold.train.trainer import EvalPrediction, Seq2SeqTrainer, Trainer
from enfold.train.trainer.arrays import PADDING, Collected
from tests.families.pairs import fresh
from tests.train.trainer.runs import QUIET, TASKS, ours, pad, rows, theirs

SPEEDS = ("runtime", "per_second", "preparation_time")


def accuracy(prediction: Any) -> dict[str, float]:
    logits, labels = prediction
    logits = logits[0] if isinstance(logits, tuple) else logits
    counted = labels != -100
    right = (logits.argmax(-1) == labels)[counted]
    return {"accuracy": right.mean(), "rows": np.float64(len(labels))}


def numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.endswith(SPEEDS)}


@pytest.mark.parametrize("task", TASKS)
def test_predict_is_theirs(task: str, tmp_path: Path) -> None:
    both, data = fresh(*TASKS[task]), rows(task, 13)
    given = {"compute_metrics": accuracy}
    one = ours(both.ours, tmp_path / "a", data, options=given, per_device_eval_batch_size=4)
    other = theirs(both.theirs, tmp_path / "b", data, given, per_device_eval_batch_size=4)
    got = one.predict(one.train_dataset)
    want = other.predict(other.train_dataset)
    flat = [part if isinstance(part, tuple) else (part,) for part in (got[0], want[0])]
    for mine, their in zip(*flat, strict=True):
        assert mine.shape == their.shape and mine.dtype == their.dtype
        np.testing.assert_allclose(mine, their, atol=2e-5)
    np.testing.assert_array_equal(got.label_ids, want.label_ids)
    mine, their = numbers(got.metrics), numbers(want.metrics)
    assert mine.keys() == their.keys() and {type(v) for v in mine.values()} == {float}
    assert mine.pop("test_loss") == pytest.approx(their.pop("test_loss"), abs=0.2)
    assert mine == pytest.approx(their, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_loss_is_the_mean_of_all_items(task: str, tmp_path: Path) -> None:
    both, data = fresh(*TASKS[task]), rows(task, 13)
    found = [ours(both.ours, tmp_path, data, per_device_eval_batch_size=size).evaluate(
        Dataset.from_list(data))["eval_loss"] for size in (1, 4, 13)]
    assert found == pytest.approx([found[0]] * 3, abs=1e-5)
    other = theirs(both.theirs, tmp_path, data, per_device_eval_batch_size=13)
    assert found[0] == pytest.approx(other.evaluate(other.train_dataset)["eval_loss"], abs=1e-5)


def streamed() -> Any:
    held = {"right": 0, "all": 0}

    def compute(prediction: EvalPrediction, compute_result: bool) -> dict[str, float]:
        assert torch.is_tensor(prediction.predictions) and len(prediction.predictions) <= 4
        held["right"] += int((prediction.predictions.argmax(-1) == prediction.label_ids).sum())
        held["all"] += len(prediction.label_ids)
        return {"accuracy": held["right"] / held["all"]} if compute_result else {}

    return compute


def test_metrics_batch_by_batch(tmp_path: Path) -> None:
    both, data = fresh("bert", "ForSequenceClassification"), rows("classes", 13)
    whole = ours(both.ours, tmp_path, data, options={"compute_metrics": accuracy})
    parts = ours(both.ours, tmp_path, data, options={"compute_metrics": streamed()},
                 batch_eval_metrics=True, per_device_eval_batch_size=4)
    kept = parts.evaluation_loop(parts.get_eval_dataloader(whole.train_dataset), "Evaluation")
    assert kept.predictions is None and kept.label_ids is None and kept.num_samples == 13
    want = whole.evaluate(whole.train_dataset)["eval_accuracy"]
    assert kept.metrics["eval_accuracy"] == pytest.approx(want)


def test_without_metrics_no_logits_are_kept(tmp_path: Path) -> None:
    both, data = fresh("bert", "ForSequenceClassification"), rows("classes", 13)
    seen = []

    class Watching(Trainer):
        def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool,
                            ignore_keys: Any = None) -> Any:
            result = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
            seen.append(result[1:])
            return result

    made = ours(both.ours, tmp_path, data, Watching)
    assert "eval_loss" in made.evaluate(made.train_dataset)
    assert seen == [(None, None)] * 2


def test_outputs_that_can_not_fit_are_refused(tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first batch that shows it, not when the memory is full."""
    monkeypatch.setattr("enfold.train.trainer.arrays.free_memory", lambda: 13 * 14 * 48 * 4)
    both, data = fresh("llama", "ForCausalLM"), rows("causal", 26)
    given = {"compute_metrics": lambda prediction: {}}
    seen = []

    class Watching(Trainer):
        def prediction_step(self, *inputs: Any, **options: Any) -> Any:
            seen.append(len(inputs))
            return super().prediction_step(*inputs, **options)

    made = ours(both.ours, tmp_path, data, Watching, given, per_device_eval_batch_size=4)
    said = r"the outputs of 26 rows would be 0\.0 GB together.*preprocess_logits_for_metrics"
    for run in (made.evaluate, made.predict):
        seen.clear()
        with pytest.raises(ConfigError, match=said):
            run(made.train_dataset)
        assert len(seen) < 4
    made.preprocess_logits_for_metrics = lambda logits, labels: logits.argmax(-1)
    assert "eval_loss" in made.evaluate(made.train_dataset)
    stream = made.train_dataset.to_iterable_dataset()  # nobody knows how long it is
    made.preprocess_logits_for_metrics = None
    assert "eval_loss" in made.evaluate(stream)


def test_what_is_kept_needs_no_second_copy() -> None:
    held = Collected(expected=5)
    for rows_, width in ((2, 3), (3, 2)):
        held.add(torch.ones(rows_, width, 2))
    whole = held.arrays()
    assert whole.shape == (5, 3, 2) and (whole[:2] == 1).all() and (whole[2:, :2] == 1).all()
    assert (whole[2:, 2] == PADDING).all() and held.batches == [None, None]


def test_several_datasets_and_prefixes(tmp_path: Path) -> None:
    both, data = fresh("bert", "ForSequenceClassification"), rows("classes", 9)
    several = {"one": Dataset.from_list(data[:5]), "two": Dataset.from_list(data)}
    made = ours(both.ours, tmp_path, data, options={"eval_dataset": several})
    assert {"eval_one_loss", "eval_two_loss"} <= made.evaluate().keys()
    assert {"x_one_loss", "x_two_loss"} <= made.evaluate(metric_key_prefix="x").keys()
    assert "eval_loss" in made.evaluate(several["one"])
    assert {"eval_loss"} == {n for n in made.evaluate("two") if n.endswith("loss")}


def test_what_compute_metrics_gets(tmp_path: Path) -> None:
    both, data = fresh("bert", "ForSequenceClassification"), rows("classes", 9)
    got = []

    def look(prediction: EvalPrediction) -> dict[str, float]:
        got.append(prediction)
        return {}

    options = {"compute_metrics": look,
               "preprocess_logits_for_metrics": lambda logits, labels: logits.argmax(-1)}
    made = ours(both.ours, tmp_path, data, options=options,
                include_for_metrics=["inputs", "loss"], per_device_eval_batch_size=4)
    metrics = made.evaluate(made.train_dataset)
    assert got[0].predictions.shape == (9,) and got[0].inputs.shape[0] == 9
    assert got[0].losses.shape == (9,)
    assert got[0].losses.mean() == pytest.approx(metrics["eval_loss"], abs=1e-6)
    assert len(list(got[0])) == 4 and got[0][1] is got[0].label_ids


def test_batches_kept_apart(tmp_path: Path) -> None:
    both, data = fresh("bert", "ForSequenceClassification"), rows("classes", 9)
    made = ours(both.ours, tmp_path, data, eval_do_concat_batches=False,
                per_device_eval_batch_size=4)
    assert [len(part) for part in made.predict(made.train_dataset).predictions] == [4, 4, 1]


def test_predict_without_labels(tmp_path: Path) -> None:
    both = fresh("bert", "ForSequenceClassification")
    data = [{name: row[name] for name in ("input_ids", "attention_mask")}
            for row in rows("classes", 9)]
    made = ours(both.ours, tmp_path, data)
    found = made.predict(made.train_dataset)
    assert found.predictions.shape == (9, 3) and found.label_ids is None
    assert "test_loss" not in found.metrics


@pytest.mark.parametrize("options", [{}, {"max_length": 9, "num_beams": 2}, {"max_new_tokens": 5}])
def test_generate_is_theirs(options: dict[str, Any], tmp_path: Path) -> None:
    both, data = fresh("bart", "ForConditionalGeneration"), rows("seq2seq", 7)
    given = {**QUIET, "predict_with_generate": True, "per_device_eval_batch_size": 3,
             "generation_max_length": 12}
    one = Seq2SeqTrainer(both.ours, Seq2SeqTrainingArguments(str(tmp_path), **given),
                         data_collator=pad)
    other = transformers.Seq2SeqTrainer(
        both.theirs, transformers.Seq2SeqTrainingArguments(str(tmp_path), **given),
        data_collator=pad)
    import datasets

    got = one.predict(Dataset.from_list(data), **options)
    want = other.predict(datasets.Dataset.from_list(data), **options)
    np.testing.assert_array_equal(got.label_ids, want.label_ids)
    np.testing.assert_array_equal(got.predictions, want.predictions)
    assert got.metrics["test_loss"] == pytest.approx(want.metrics["test_loss"], abs=0.2)


def test_columns_that_the_model_does_not_take(tmp_path: Path) -> None:
    both = fresh("bert", "ForSequenceClassification")
    data = [{"label": row.pop("labels"), "text": "a", **row} for row in rows("classes", 8)]
    seen = []

    def collate(features: Any) -> Any:
        seen.append(set(features[0]))
        return pad([{**row, "labels": row["label"]} for row in features])

    made = ours(both.ours, tmp_path, data, options={"data_collator": collate}, max_steps=1)
    made.train()
    made.train_dataset = data  # a plain list: the collator's rows are narrowed
    made.train()
    assert seen == [{"input_ids", "attention_mask", "label"}] * len(seen) and len(seen) == 2
    made = ours(both.ours, tmp_path, data, options={"data_collator": collate},
                remove_unused_columns=False, max_steps=1)
    made.train()
    assert "text" in seen[-1]
    with pytest.raises(ValueError, match="no column of the training data is an argument"):
        ours(both.ours, tmp_path, [{"text": "a"}], max_steps=1).train()
