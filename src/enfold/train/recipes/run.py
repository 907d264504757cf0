"""From a recipe to a Trainer: data, model and adapter, the plan, the training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import enfold.auto
from enfold.adapt import LoraConfig, get_peft_model
from enfold.auto import AutoConfig
from enfold.data import DatasetDict, load_dataset
from enfold.errors import DataError, nearest
from enfold.settings import set_seed
from enfold.text import AutoTokenizer
from enfold.train.arguments import TrainingArguments
from enfold.train.recipes.labels import classes, settings_of
from enfold.train.recipes.reading import blamed
from enfold.train.recipes.recipe import Recipe
from enfold.train.trainer import Seq2SeqTrainer, Trainer
from enfold.train.trainer.plan import make_plan

ROW = 512  # tokens of a row where neither the recipe nor the tokenizer nor the model says


@dataclass
class Run:
    """A recipe with its data and model loaded.

    data: columns and settings, with lengths settled.  train, held_out: rows as the model takes
    them; held_out is None without rows to evaluate on.
    """

    recipe: Recipe
    args: TrainingArguments
    tokenizer: Any
    model: Any
    data: dict[str, Any]
    train: Any
    held_out: Any

    def plan(self) -> str:
        """What would be done: rows, parameters, steps."""
        recipe, args = self.recipe, self.args
        adapter = "none" if recipe.adapter is None else "lora"
        base = self.model.get_base_model() if recipe.adapter is not None else self.model
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        held = sum(p.numel() for p in self.model.parameters())
        batches = -(-len(self.train) // (args.train_batch_size * args.world_size))
        if args.dataloader_drop_last:
            batches = len(self.train) // (args.train_batch_size * args.world_size)
        plan = make_plan(args, range(batches), args.train_batch_size, len(self.train))
        rest = "none" if self.held_out is None else f"{len(self.held_out):,}"
        lines = {
            "task": recipe.task.name,
            "model": f"{type(base).__name__} of {recipe.model['name']}",
            "rows": f"{len(self.train):,} to train on, {rest} to evaluate on, "
                    f"up to {self.data['max_length']} tokens each",
            "adapter": adapter,
            "parameters": f"{trained:,} of {held:,} are trained ({trained / held:.2%})",
            "steps": f"{plan.steps:,} of {plan.together} rows, {plan.epoch_steps:,} an epoch",
            "device": f"{args.device}, {args.world_size} process"
                      + ("es" if args.world_size > 1 else ""),
            "output": recipe.output,
        }
        return "\n".join(f"{name:<11} {text}" for name, text in lines.items())

    def trainer(self) -> Any:
        """The Trainer."""
        task = self.recipe.task
        kind = Seq2SeqTrainer if task.generates else Trainer
        return kind(self.model, self.args, task.collator(self.tokenizer, self.model, self.data),
                    self.train, self.held_out, self.tokenizer, compute_metrics=task.scores,
                    preprocess_logits_for_metrics=task.keep)

    def go(self, resume: bool = False) -> dict[str, float]:
        """Train, evaluate, save model, state, card and recipe into the output; the metrics."""
        with blamed(self.recipe.source):
            trainer = self.trainer()
        begin = True if resume else self.args.resume_from_checkpoint
        metrics = dict(trainer.train(resume_from_checkpoint=begin).metrics)
        if self.held_out is not None:
            metrics |= trainer.evaluate()
            if self.recipe.task.scores is None and metrics["eval_loss"] < 700:
                metrics["eval_perplexity"] = math.exp(metrics["eval_loss"])
        if self.recipe.adapter is not None and self.recipe.adapter.get("merge"):
            trainer.model = trainer.model.merge_and_unload()
        trainer.save_model()
        trainer.save_state()
        trainer.create_model_card()
        if self.args.should_save:
            source = Path(self.recipe.source)
            copyfile(source, Path(self.recipe.output) / f"recipe{source.suffix}")
        return metrics


def prepare(recipe: Recipe) -> Run:
    """Load what a recipe names; errors begin with the file's name."""
    args = recipe.arguments()
    set_seed(args.seed)  # a new head and adapter start the same
    with blamed(f"{recipe.source}: data"):
        splits = load_dataset(**recipe.load)
        train, held_out = _splits(splits, recipe.data, args.seed)
        roles = _columns(recipe, train)
        if args.do_eval and held_out is None:
            raise DataError("training asks for evaluations, and there is no eval_split. Do: name a "
                            "split, or give the share of the rows to hold out, such as 0.1")
    with blamed(f"{recipe.source}: model"):
        tokenizer, model, numbered = _model(recipe, train)
    data = _lengths(recipe.data | roles, tokenizer, model.config)
    with blamed(f"{recipe.source}: adapter"):
        model = _adapted(recipe, model)

    def rows(dataset: Any) -> Any:
        return dataset.map(recipe.task.rows, batched=True, remove_columns=dataset.column_names,
                           fn_kwargs={"tokenizer": tokenizer, "data": data, "labels": numbered})

    with blamed(f"{recipe.source}: data"):
        made = rows(train), None if held_out is None else rows(held_out)
    return Run(recipe, args, tokenizer, model, data, *made)


def _splits(splits: Any, data: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """Rows to train on, and to evaluate on: a split by name, a share, or `validation` or `test`."""
    splits = splits if isinstance(splits, DatasetDict) else DatasetDict({"train": splits})

    def named(role: str) -> Any:
        if data[role] not in splits:
            raise DataError(f"{role} is {data[role]!r}{nearest(str(data[role]), splits)}, expected "
                            f"one of {', '.join(splits)}")
        return splits[data[role]]

    train, asked = named("train_split"), data["eval_split"]
    if asked is False or asked == "none":
        return train, None
    if isinstance(asked, (int, float)):
        parts = train.train_test_split(test_size=asked, seed=seed)
        return parts["train"], parts["test"]
    if asked is None:
        found = [name for name in ("validation", "test") if name in splits]
        return train, splits[found[0]] if found else None
    return train, named("eval_split")


def _columns(recipe: Recipe, dataset: Any) -> dict[str, str | None]:
    """Role -> column; raises for one that the data has not."""
    roles = {role: recipe.data[role] for role in recipe.task.columns}
    if roles.get("prompt") is not None:
        roles |= {"text": None, "completion": roles["completion"] or "completion"}
    for role, column in roles.items():
        if column is not None and column not in dataset.column_names:
            raise DataError(f"there is no column {column!r}"
                            f"{nearest(str(column), dataset.column_names)} for {role!r}, the data "
                            f"has {', '.join(dataset.column_names)}. Do: write `{role}: COLUMN` "
                            "under data")
    return roles


def _model(recipe: Recipe, train: Any) -> tuple[Any, Any, dict[str, int] | None]:
    """Tokenizer, model, and the numbers of labels that are names."""
    options = dict(recipe.model)
    name, words = options.pop("name"), options.pop("tokenizer", None)
    hub = {key: value for key, value in options.items() if key != "dtype"}
    reader: Any = AutoTokenizer
    tokenizer = reader.from_pretrained(words or name, **({} if words else hub))
    said: dict[str, Any] = {}
    numbered = None
    if recipe.task.labels is not None:
        names, count, numbered = classes(train, recipe.data[recipe.task.labels])
        config = AutoConfig.from_pretrained(name, **hub)
        said = settings_of(names, count, config)
        if names and not said and numbered is not None:
            numbered = dict(config.label2id)
        if names is None and count == 1:
            said["problem_type"] = "regression"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    auto: Any = getattr(enfold.auto, recipe.task.auto)
    model = auto.from_pretrained(name, **options, **said)
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model, numbered


def _adapted(recipe: Recipe, model: Any) -> Any:
    if recipe.adapter is None:
        return model
    options = {name: value for name, value in recipe.adapter.items() if name != "merge"}
    return get_peft_model(model, LoraConfig(task_type=recipe.task.peft, **options))


def _lengths(data: dict[str, Any], tokenizer: Any, config: Any) -> dict[str, Any]:
    """The settings with a length of rows, and for windows their overlap."""
    if data["max_length"] is None:
        limits = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
        said = [int(limit) for limit in limits if limit and limit < 10 ** 6]
        data["max_length"] = min(said, default=ROW)
    if data.get("doc_stride", 0) is None:
        data["doc_stride"] = min(128, data["max_length"] // 4)
    return data
