"""From scores of tokens to entities: one per token, or words and groups of the same tag.

    tokens   Micro ##soft  Corp  rose          "none": one entity each
    words    Micro+##soft  Corp  rose          "first", "average", "max": a word has one tag
    groups   Microsoft Corp (ORG)              neighbours of one tag; B- starts a new group
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Entity = dict[str, Any]


class AggregationStrategy(enum.Enum):
    """How tokens become entities: see the head of this file."""

    NONE = "none"
    SIMPLE = "simple"
    FIRST = "first"
    AVERAGE = "average"
    MAX = "max"


BY_WORD = (AggregationStrategy.FIRST, AggregationStrategy.AVERAGE, AggregationStrategy.MAX)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the text with its label scores; `start`, `end` in characters, None if unknown."""

    word: str
    scores: Any  # [labels], float32
    start: int | None
    end: int | None
    index: int
    subword: bool


def entities_of(tokens: Sequence[Token], strategy: AggregationStrategy, labels: dict[int, str],
                tokenizer: Any) -> list[Entity]:
    """The entities of one row of tokens."""
    if strategy in BY_WORD:
        words = [_word(group, strategy, labels, tokenizer) for group in _by_word(tokens)]
        return [_group(group, tokenizer) for group in _by_tag(words)]
    singles = [_single(token, labels) for token in tokens]
    if strategy is AggregationStrategy.NONE:
        return singles
    return [_group(group, tokenizer) for group in _by_tag(singles)]


def without_overlaps(entities: list[Entity]) -> list[Entity]:
    """Of entities that overlap (seen by two rows of one text), the longest, then the likeliest."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: e["start"]):
        last = kept[-1] if kept else None
        if last is None or not last["start"] <= entity["start"] < last["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(last):
            kept[-1] = entity
    return kept


def _weight(entity: Entity) -> tuple[int, Any]:
    return entity["end"] - entity["start"], entity["score"]


def _single(token: Token, labels: dict[int, str]) -> Entity:
    best = int(token.scores.argmax())
    return {"entity": labels[best], "score": token.scores[best], "index": token.index,
            "word": token.word, "start": token.start, "end": token.end}


def _by_word(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    group: list[Token] = []
    for token in tokens:
        if group and not token.subword:
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def _word(tokens: list[Token], strategy: AggregationStrategy, labels: dict[int, str],
          tokenizer: Any) -> Entity:
    if strategy is AggregationStrategy.FIRST:
        scores = tokens[0].scores
    elif strategy is AggregationStrategy.MAX:
        scores = max((token.scores for token in tokens), key=lambda s: s.max())
    else:
        scores = np.nanmean(np.stack([token.scores for token in tokens]), axis=0)
    best = int(scores.argmax())
    return {"entity": labels[best], "score": scores[best],
            "word": tokenizer.convert_tokens_to_string([token.word for token in tokens]),
            "start": tokens[0].start, "end": tokens[-1].end}


def _tag(label: str) -> tuple[str, str]:
    """("B" or "I", tag): a label without a prefix continues."""
    return (label[0], label[2:]) if label.startswith(("B-", "I-")) else ("I", label)


def _by_tag(entities: list[Entity]) -> Iterator[list[Entity]]:
    group: list[Entity] = []
    for entity in entities:
        position, tag = _tag(entity["entity"])
        if group and (position == "B" or tag != _tag(group[-1]["entity"])[1]):
            yield group
            group = []
        group.append(entity)
    if group:
        yield group


def _group(entities: list[Entity], tokenizer: Any) -> Entity:
    return {"entity_group": entities[0]["entity"].split("-", 1)[-1],
            "score": np.mean(np.nanmean([entity["score"] for entity in entities])),
            "word": tokenizer.convert_tokens_to_string([entity["word"] for entity in entities]),
            "start": entities[0]["start"], "end": entities[-1]["end"]}
