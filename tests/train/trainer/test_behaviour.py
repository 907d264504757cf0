"""What scripts rely on: hooks, callbacks, the best model, switches of the arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import transformers
from torch import nn
from torch.utils.data import DataLoader

from enfold.data import Dataset, DatasetDict
from enfold.train.arguments import TrainingArguments
from enfold.train.callbacks import EarlyStoppingCallback, TrainerCallback
from enfold.train.callbacks.callback import EVENTS
from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.train.trainer.runs import QUIET, curve, ours, pad, rows, theirs
from tests.train.trainer.test_accumulation import Plain

CLASSES = ("bert", "ForSequenceClassification")


def events(base: type) -> Any:
    seen: list[str] = []

    def note(name: str) -> Any:
        return lambda self, args, state, control, **kwargs: seen.append(
            f"{name} {state.global_step}")

    return type("Events", (base,), {name: note(name) for name in EVENTS if name != "on_push_begin"}
                | {"seen": seen})()


@pytest.mark.parametrize("options", [
    {"max_steps": 5}, {"num_train_epochs": 2, "gradient_accumulation_steps": 2},
    {"num_train_epochs": 1.5, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps",
     "save_steps": 3, "eval_on_start": True},
    {"num_train_epochs": 2, "eval_strategy": "epoch", "save_strategy": "epoch",
     "logging_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 1}])
def test_events_and_logs_are_theirs(options: dict[str, Any], tmp_path: Path) -> None:
    both, data = fresh(*CLASSES), rows("classes", 20)
    mine, their = events(TrainerCallback), events(transformers.TrainerCallback)
    one = ours(both.ours, tmp_path / "a", data, options={
        "callbacks": [mine], "eval_dataset": Dataset.from_list(data)}, **options)
    other = theirs(both.theirs, tmp_path / "b", data, {"callbacks": [their]}, **options) \
        if "eval_strategy" not in options else theirs(
            both.theirs, tmp_path / "b", data,
            {"callbacks": [their], "eval_dataset": data}, **options)
    one.train(), other.train()
    assert mine.seen == their.seen
    logs = [[(log["step"], sorted(name for name in log if name not in
                                  ("total_flos", "eval_model_preparation_time")))
             for log in trainer.state.log_history] for trainer in (one, other)]
    assert logs[0] == logs[1]
    folders = [sorted(path.name for path in (tmp_path / side).iterdir()) for side in "ab"]
    assert folders[0] == folders[1]
    for name in ("best_metric", "best_global_step", "epoch", "max_steps", "num_train_epochs"):
        assert getattr(one.state, name) == pytest.approx(getattr(other.state, name), abs=1e-5), name


def test_best_model_is_loaded_though_nothing_was_saved(tmp_path: Path) -> None:
    data, values = rows("classes", 8), iter([0.3, 0.9, 0.1, 0.95, 0.2])
    weights = []

    class Watch(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None,
                        **kwargs: Any) -> None:
            weights.append({name: t.clone() for name, t in model.state_dict().items()})

    made = ours(fresh(*CLASSES).ours, tmp_path, data, options={
        "eval_dataset": Dataset.from_list(data), "callbacks": [Watch],
        "compute_metrics": lambda _: {"score": next(values)}}, save_strategy="steps",
        save_steps=5, eval_strategy="steps", eval_steps=1, max_steps=5, learning_rate=1e-2,
        metric_for_best_model="score", load_best_model_at_end=True)
    made.train()
    assert made.state.best_metric == 0.95 and made.state.best_global_step == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-5"]
    for name, tensor in made.model.state_dict().items():
        assert torch.equal(tensor, weights[3][name]), name


def test_early_stopping(tmp_path: Path) -> None:
    data, values = rows("classes", 8), iter([0.3, 0.9, 0.1, 0.2, 0.2])
    made = ours(fresh(*CLASSES).ours, tmp_path, data, options={
        "eval_dataset": Dataset.from_list(data), "callbacks": [EarlyStoppingCallback(2)],
        "compute_metrics": lambda _: {"score": next(values)}}, eval_strategy="steps", eval_steps=1,
        max_steps=5, metric_for_best_model="score", greater_is_better=True,
        load_best_model_at_end=True)
    assert made.train().global_step == 4


def test_hooks_are_called(tmp_path: Path) -> None:
    called: list[str] = []

    class Own(Trainer):
        def get_train_dataloader(self) -> Any:
            called.append("loader")
            return DataLoader(rows("classes", 8), batch_size=4, collate_fn=pad)

        def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
            called.append(f"optimizer {num_training_steps}")
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5)
            self.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(self.optimizer, factor=1.0)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            called.append("log")
            super().log({**logs, "mine": 1.0}, start_time)

        def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool,
                            ignore_keys: Any = None) -> Any:
            called.append("predict")
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    made = ours(fresh(*CLASSES).ours, tmp_path, [], Own, {"train_dataset": None}, max_steps=1)
    made.train()
    assert curve(made, "learning_rate") == [0.5] and curve(made, "mine") == [1.0, 1.0]
    made.evaluate(Dataset.from_list(rows("classes", 3)))
    assert called == ["loader", "optimizer 1", "log", "log", "predict", "log"]


class Tokenizer:
    model_input_names = ("input_ids", "attention_mask")
    pad_token_id = 1

    def pad(self, features: Any, **kwargs: Any) -> Any:
        return pad(features)

    def save_pretrained(self, folder: Any) -> None:
        (Path(folder) / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize("name", ["tokenizer", "processing_class"])
def test_tokenizer(name: str, tmp_path: Path) -> None:
    args = TrainingArguments(str(tmp_path), **{**QUIET, "max_steps": 1})
    made = Trainer(fresh(*CLASSES).ours, args, train_dataset=Dataset.from_list(rows("classes", 8)),
                   **{name: Tokenizer()})
    made.train()
    made.save_model(tmp_path / "final")
    assert {"tokenizer.json", "model.safetensors", "config.json", "training_args.bin"} <= \
        {path.name for path in (tmp_path / "final").iterdir()}
    with pytest.raises(ValueError, match="which are one thing"):
        Trainer(fresh(*CLASSES).ours, args, tokenizer=Tokenizer(), processing_class=Tokenizer())


def test_model_init_starts_anew(tmp_path: Path) -> None:
    import enfold

    config = fresh(*CLASSES).ours.config
    made = ours(None, tmp_path, rows("classes", 8), options={
        "model_init": lambda: enfold.AutoModelForSequenceClassification.from_config(config)},
        max_steps=3)
    losses = []
    for _ in range(2):
        made.train()
        losses.append(curve(made))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("options", [{"group_by_length": True}, {"neftune_noise_alpha": 5.0},
                                     {"gradient_checkpointing": True}, {"optim": "adafactor"},
                                     {"label_smoothing_factor": 0.1}, {"max_grad_norm": 0.0},
                                     {"dataloader_drop_last": True},
                                     {"include_num_input_tokens_seen": True},
                                     {"lr_scheduler_type": "greedy", "eval_strategy": "steps",
                                      "metric_for_best_model": "loss", "eval_steps": 2}])
def test_switches(options: dict[str, Any], tmp_path: Path) -> None:
    data = rows("classes", 20)
    both = {"max_steps": 8, "per_device_train_batch_size": 3, "learning_rate": 1e-3}
    made = ours(fresh(*CLASSES).ours, tmp_path, data, options={
        "eval_dataset": Dataset.from_list(data)}, **both, **options)
    made.train()
    plain = ours(fresh(*CLASSES).ours, tmp_path, data, **both)
    plain.train()
    same = curve(made) == pytest.approx(curve(plain), abs=1e-6)
    assert same == any(name in options for name in ("gradient_checkpointing",
                                                    "include_num_input_tokens_seen"))
    if "include_num_input_tokens_seen" in options:
        seen = curve(made, "num_input_tokens_seen")
        assert seen == sorted(seen) and seen[0] > 0
    assert not made.model.get_input_embeddings()._forward_hooks


def test_gradient_checkpointing_of_any_module(tmp_path: Path) -> None:
    made = ours(Plain(), tmp_path, rows("tokens", 8), gradient_checkpointing=True, max_steps=1)
    with pytest.raises(NotImplementedError, match="Plain has no gradient_checkpointing_enable"):
        made.train()


def test_any_module_is_saved_and_resumed(tmp_path: Path) -> None:
    made = ours(Plain(), tmp_path, rows("tokens", 20), max_steps=4, save_strategy="steps",
                save_steps=2)
    made.train()
    other = ours(Plain(), tmp_path, rows("tokens", 20), max_steps=4)
    other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for name, tensor in made.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name])
    with pytest.raises(ValueError, match=r"missing .* not known"):
        ours(fresh(*CLASSES).ours, tmp_path, rows("classes"), max_steps=4).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_smaller_batches_when_memory_runs_out(tmp_path: Path) -> None:
    class Small(Trainer):
        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            if len(inputs["input_ids"]) > 3:
                raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
            return super().training_step(model, inputs, num_items_in_batch)

    data = rows("classes", 8)
    made = ours(fresh(*CLASSES).ours, tmp_path, data, Small, auto_find_batch_size=True)
    made.train()
    assert made.state.train_batch_size == 2 and made.state.global_step == 12
    with pytest.raises(RuntimeError, match="out of memory") as error:
        ours(fresh(*CLASSES).ours, tmp_path, data, Small).train()
    assert "auto_find_batch_size=True" in error.value.__notes__[0]


ERRORS = {
    "expected one of them": lambda folder: Trainer(args=TrainingArguments(str(folder), **QUIET)),
    "there is no eval_dataset": lambda folder: ours(Plain(), folder, [], eval_strategy="steps"),
    "no argument compute_result": lambda folder: ours(
        Plain(), folder, [], options={"compute_metrics": lambda prediction: {}},
        batch_eval_metrics=True),
    "has no length": lambda folder: ours(Plain(), folder, [], options={
        "train_dataset": (row for row in rows("tokens"))}),
    "got no train_dataset": lambda folder: ours(Plain(), folder, [], options={
        "train_dataset": None}).train(),
    "got no eval_dataset": lambda folder: ours(Plain(), folder, []).evaluate(),
    "gives no batch": lambda folder: ours(Plain(), folder, rows("tokens", 3),
                                          dataloader_drop_last=True).train(),
    "the model returned no loss": lambda folder: ours(
        Plain(), folder, [{"input_ids": [4, 5]}]).train(),
    "has no folder checkpoint-": lambda folder: ours(Plain(), folder, rows("tokens")).train(
        resume_from_checkpoint=True),
    "there is no checkpoint": lambda folder: ours(Plain(), folder, rows("tokens")).train("x"),
    "unknown argument 'resume'": lambda folder: ours(Plain(), folder, []).train(resume=1),
    "compute_metrics returned a float": lambda folder: ours(
        Plain(), folder, [], options={"compute_metrics": lambda prediction: 0.5}).evaluate(
            Dataset.from_list(rows("tokens", 3))),
    "metric_for_best_model is 'f1'": lambda folder: ours(
        Plain(), folder, rows("tokens", 8), options={"eval_dataset": rows("tokens", 3)},
        metric_for_best_model="f1", eval_strategy="steps", eval_steps=1).train(),
    r"'feeling'\] went unused: is one of these the labels, rename_column\('feeling', 'labels'\)":
        lambda folder: ours(fresh(*CLASSES).ours, folder, [
            {"input_ids": [4, 5], "feeling": 1}]).train(),
    r"takes \['labels'\] alone, expected 'input_ids' too. Do: tokenize the texts": lambda folder:
        ours(fresh(*CLASSES).ours, folder, [{"text": "a", "labels": 1}]).train(),
    r"labels have shape \(8,\) and are of torch.float32, expected \[8, 3\]": lambda folder: ours(
        fresh(*CLASSES).ours, folder,
        [{**row, "labels": 0.5} for row in rows("classes", 8)]).train(),
    r"is a DatasetDict of \['train'\].*dataset\['train'\]": lambda folder: ours(
        Plain(), folder, [], options={"train_dataset": DatasetDict(
            {"train": Dataset.from_list(rows("tokens", 3))})}).train(),
    "got model='bert-base', expected a model. Do: load it": lambda folder: ours(
        "bert-base", folder, []),
    "no weight of Plain is trained.*is_trainable=True": lambda folder: ours(
        Plain().requires_grad_(False), folder, rows("tokens", 8)).train(),
    "no get_input_embeddings": lambda folder: ours(
        Plain(), folder, rows("tokens"), neftune_noise_alpha=1.0).train(),
    "needs model_init": lambda folder: ours(Plain(), folder, []).hyperparameter_search(),
    "which would be of another model": lambda folder: ours(
        None, folder, [], options={"model_init": Plain, "optimizers": (
            torch.optim.SGD(Plain().parameters()), None)}),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors(message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        ERRORS[message](tmp_path)


def test_a_model_that_was_placed_stays(tmp_path: Path) -> None:
    class Spread(Plain):
        hf_device_map: ClassVar = {"table": "cpu", "out": "cpu"}

        def to(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("moved")

    ours(Spread(), tmp_path, rows("tokens", 8), max_steps=1).train()


def test_parameters_of_the_run(tmp_path: Path) -> None:
    made = ours(fresh(*CLASSES).ours, tmp_path, rows("classes", 8), max_steps=1, weight_decay=0.1)
    for parameter in made.model.bert.parameters():
        parameter.requires_grad = False
    made.train()
    assert made.get_num_trainable_parameters() == sum(
        p.numel() for p in made.model.parameters() if p.requires_grad)
    assert len(made.get_learning_rates()) == 2
    weight = made.model.classifier.weight
    assert made.get_optimizer_group(weight)["weight_decay"] == 0.1
    assert isinstance(weight, nn.Parameter)
