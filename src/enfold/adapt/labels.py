"""Names of labels beside an adapter: a head that was trained is of no use without them.

peft's files have no place for them, so they lie in `labels.json`, which peft passes over:

    {"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from enfold.adapt.adapters import Adapters
from enfold.files import HubOptions, read_json, resolve, write_json

LABELS = "labels.json"


def write_labels(adapters: Adapters, name: str, folder: Path) -> None:
    """Write the names of the base model's labels, if the adapter trains a head of it."""
    config: Any = getattr(adapters.model, "config", None)
    kept = any(name in keeper.modules_to_save for keeper in adapters.kept.values())
    if kept and hasattr(config, "id2label") and \
            not (len(config.id2label) == 2 and _nameless(config.id2label)):
        named = {str(number): label for number, label in config.id2label.items()}
        write_json(folder / LABELS, {"id2label": named})


def read_labels(model_id: str | os.PathLike[str], where: HubOptions) -> dict[int, str] | None:
    """The labels beside an adapter; None if there are none."""
    path = resolve(model_id, LABELS, **asdict(where), required=False)
    if path is None:
        return None
    return {int(number): str(label) for number, label in read_json(path)["id2label"].items()}


def name_labels(model: Any, model_id: str | os.PathLike[str], where: HubOptions) -> None:
    """Give the labels of a model the names beside an adapter, unless they have some."""
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "id2label") or not _nameless(config.id2label):
        return
    labels = read_labels(model_id, where)
    if labels is not None and len(labels) == len(config.id2label):
        config.id2label = labels


def _nameless(labels: dict[int, str]) -> bool:
    return all(label == f"LABEL_{number}" for number, label in labels.items())
