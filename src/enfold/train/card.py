"""A model's card: README.md with what was trained, on what, how, and how well.

The head is YAML as the Hub reads it (https://huggingface.co/docs/hub/model-cards); the rest is for
people, with gaps marked for what a program can't know.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enfold.data.card import card_text, read_card
from enfold.errors import unknown_arguments
from enfold.tasks.registry import task_of_head
from enfold.train.hyperparameters import hyperparameters

METRICS = ("accuracy", "bleu", "f1", "matthews_correlation", "pearsonr", "precision", "recall",
           "rouge", "sacrebleu", "spearmanr", "wer")  # the Hub's names
TASKS = {"fill-mask": "Masked Language Modeling", "multiple-choice": "Multiple Choice",
         "question-answering": "Question Answering", "text-classification": "Text Classification",
         "text-generation": "Causal Language Modeling",
         "token-classification": "Token Classification"}
GENERIC = ("csv", "json", "pandas", "parquet", "text", "generator", "arrow", "in-memory")
ASIDE = ("runtime", "samples_per_second", "steps_per_second", "epoch", "step")
TAG, MISSING = "generated_from_trainer", "More information needed"
NOTE = ("<!-- Written by the Trainer from what it knew of the run. Please read it, complete it and "
        "remove this line. -->")
Names = str | Sequence[str] | None


@dataclass
class TrainingSummary:
    """What a card says.

    dataset_tags: the datasets' names on the Hub; dataset: for people; dataset_args: their configs;
    dataset_metadata: further fields of each.  tasks: of the Hub.  eval_results: the last
    evaluation; eval_lines: a dict for each row of the table of evaluations.
    """

    model_name: str
    language: Names = None
    license: str | None = None
    tags: Names = None
    finetuned_from: str | None = None
    tasks: Names = None
    dataset: Names = None
    dataset_tags: Names = None
    dataset_args: Names = None
    dataset_metadata: Sequence[Mapping[str, Any]] | None = None
    eval_results: Mapping[str, Any] | None = None
    eval_lines: Sequence[Mapping[str, Any]] = ()
    hyperparameters: Mapping[str, Any] | None = None
    library_name: str = "transformers"
    versions: Mapping[str, str] = field(default_factory=dict)

    def create_metadata(self) -> dict[str, Any]:
        """The head of the card."""
        metrics = metric_names(self.eval_results)
        found = {"library_name": self.library_name, "language": listed(self.language),
                 "license": self.license, "base_model": self.finetuned_from,
                 "tags": listed(self.tags), "datasets": listed(self.dataset_tags),
                 "metrics": list(metrics)}
        found = {name: value for name, value in found.items() if value}
        return found | {"model-index": [{"name": self.model_name, "results": self._results()}]}

    def _results(self) -> list[dict[str, Any]]:
        """A result for each task and dataset; none where one of them is not known."""
        metrics = [{"name": name, "type": tag, "value": (self.eval_results or {})[name]}
                   for tag, name in metric_names(self.eval_results).items()]
        tags = listed(self.dataset_tags)
        names, configs = listed(self.dataset) or tags, listed(self.dataset_args)
        more = list(self.dataset_metadata or [])
        found = []
        for task in [task for task in listed(self.tasks) if task in TASKS and metrics]:
            for place, tag in enumerate(tags):
                data = {"name": names[place] if place < len(names) else tag, "type": tag,
                        **(more[place] if place < len(more) else {})}
                if place < len(configs) and configs[place] is not None:
                    data["args"] = configs[place]
                found.append({"task": {"name": TASKS[task], "type": task}, "dataset": data,
                              "metrics": metrics})
        return found

    def to_model_card(self) -> str:
        """The whole card."""
        parts = [NOTE, f"# {self.model_name}", self._lead()]
        if self.eval_results:
            parts.append("On the evaluation set:\n\n" + _bullets(self.eval_results))
        for title in ("Model description", "Intended uses & limitations",
                      "Training and evaluation data"):
            parts += [f"## {title}", MISSING]
        parts += ["## Training procedure", "### Training hyperparameters",
                  _bullets(self.hyperparameters) if self.hyperparameters else MISSING]
        if self.eval_lines:
            parts += ["### Training results", make_markdown_table(self.eval_lines)]
        parts += ["### Framework versions", _bullets(self.versions)]
        return card_text(self.create_metadata(), "\n\n".join(parts) + "\n")

    def _lead(self) -> str:
        base, data = self.finetuned_from, [f"the {name} dataset" for name in listed(self.dataset)]
        how = f"Fine-tuned from [{base}](https://huggingface.co/{base})" if base else "Trained"
        on = " and ".join(data) if data else "data that is not named"
        return f"{how} on {on}."

    @classmethod
    def from_trainer(cls, trainer: Any, **fields: Any) -> TrainingSummary:
        """What a Trainer knows of its run; `fields` that are given come first."""
        if unknown := fields.keys() - cls.__dataclass_fields__.keys():
            raise unknown_arguments("create_model_card", unknown, cls.__dataclass_fields__)
        given = {name: value for name, value in fields.items() if value is not None}
        data = trainer.train_dataset if trainer.eval_dataset is None else trainer.eval_dataset
        lines, results = parse_log_history(trainer.state.log_history)
        found = {**_about_data(data), **_about_model(trainer.model),
                 "model_name": Path(trainer.args.output_dir).absolute().name,
                 "eval_results": results, "eval_lines": lines,
                 "hyperparameters": hyperparameters(trainer.args), "versions": versions(), **given}
        if "dataset_tags" in found:
            found.setdefault("dataset", found["dataset_tags"])
        kinds = found.pop("kinds", [])
        found["tags"] = list(dict.fromkeys([*listed(given.get("tags")), TAG, *kinds]))
        return cls(**found)


def model_card(trainer: Any, **fields: Any) -> str:
    """The card of a Trainer's model; tags of a card that is there already are kept."""
    old = read_card(trainer.args.output_dir) or {}
    tags = [*listed(fields.pop("tags", None)), *listed(old.get("tags"))]
    return TrainingSummary.from_trainer(trainer, tags=tags, **fields).to_model_card()


def parse_log_history(log_history: Sequence[Mapping[str, Any]]
                      ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """A row for each evaluation of a run, and the results of the last one."""
    rows: list[dict[str, Any]] = []
    loss: Any = "No log"
    results = None
    for log in log_history:
        loss = log.get("loss", loss)
        if "eval_loss" not in log:
            continue
        values = {name.removeprefix("eval_"): value for name, value in log.items()
                  if name != "total_flos"}
        numbers = {_title(name): value for name, value in values.items() if name not in ASIDE}
        results = {"Loss": numbers.pop("Loss"), **numbers}
        rows.append({"Training Loss": loss, "Epoch": log.get("epoch"), "Step": log.get("step"),
                     "Validation Loss": results["Loss"], **numbers})
    return rows, results


def make_markdown_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table, a column for each name in any of them."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [names, *([_short(line.get(name, "")) for name in names] for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(names))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            + " |" for row in rows]
    return "\n".join([text[0], "|" + "|".join(f":{'-' * width}:" for width in widths) + "|",
                      *text[1:]])


def metric_names(results: Mapping[str, Any] | None) -> dict[str, str]:
    """The Hub's names of metrics that are in the results, with ours."""
    plain = {name.lower().replace(" ", "_"): name for name in results or {}}
    return {("rouge" if tag.startswith("rouge") else tag): name for tag, name in plain.items()
            if tag in METRICS or tag.startswith("rouge")}


def versions() -> dict[str, str]:
    """Of what took part in the run."""
    from importlib.metadata import version

    return {name: version(package) for name, package in
            (("Enfold", "enfold"), ("Pytorch", "torch"), ("Tokenizers", "tokenizers"))}


def listed(names: Names | Iterable[Any]) -> list[Any]:
    """A name, several, or None as a list."""
    return [names] if isinstance(names, str) else list(names or ())


def _about_model(model: Any) -> dict[str, Any]:
    adapters = getattr(model, "peft_config", None)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    name = getattr(getattr(base, "config", None), "_name_or_path", None)
    task = task_of_head(type(base).__name__)
    found: dict[str, Any] = {"tasks": task if task in TASKS else None}
    if name and not os.path.isdir(name):
        found["finetuned_from"] = name
    if isinstance(adapters, Mapping) and adapters:
        kinds = {str(getattr(one.peft_type, "value", one.peft_type)).lower()
                 for one in adapters.values()}
        found |= {"library_name": "peft", "kinds": sorted(kinds)}
    return found


def _about_data(data: Any) -> dict[str, Any]:
    builder = getattr(data, "builder_name", None)
    if not builder or builder in GENERIC:
        return {}
    config = getattr(data, "config_name", None)
    return {"dataset_tags": [builder], "dataset_args": [config],
            "dataset_metadata": [{"config": config, "split": str(getattr(data, "split", None))}]}


def _bullets(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    """A float with at most four decimals where that says enough; anything else as it is."""
    if isinstance(value, float) and abs(value) >= 1e-3 and len(str(value).partition(".")[2]) > 4:
        return f"{value:.4f}"
    return str(value)


def _title(name: str) -> str:
    return " ".join(part.capitalize() for part in name.split("_"))
