"""Pipelines: one file per task, each `pre` (items to rows), `forward` (a batch), `post` (a result).

    base.py       what all share: arguments, device, windows of a stream, errors
    batching.py   rows sorted by length, batched by a token budget, halved when memory runs out
    streams.py    inputs and results: lists, generators, data sets, progress
    registry.py   task names, aliases, default models; loads no torch
    api.py        `pipeline(...)`
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "pipeline": "api",
    "get_supported_tasks": "registry",
    "Pipeline": "base",
    "KeyDataset": "streams",
    "KeyPairDataset": "streams",
    "TextClassificationPipeline": "text_classification",
    "TokenClassificationPipeline": "token_classification",
    "NerPipeline": "token_classification",
    "AggregationStrategy": "entities",
    "QuestionAnsweringPipeline": "question_answering",
    "SquadExample": "question_answering",
    "FillMaskPipeline": "fill_mask",
    "FeatureExtractionPipeline": "feature_extraction",
    "ZeroShotClassificationPipeline": "zero_shot_classification",
    "TextGenerationPipeline": "text_generation",
    "Text2TextGenerationPipeline": "text2text_generation",
    "SummarizationPipeline": "text2text_generation",
    "TranslationPipeline": "text2text_generation",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'enfold.tasks' has no attribute {name!r}")
    return getattr(import_module(f"enfold.tasks.{_PUBLIC[name]}"), name)
