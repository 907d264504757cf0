"""A pipeline's result as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS = ("generated_text", "summary_text", "translation_text")
NUMBERS_SHOWN = 6


def plain(result: Any) -> str:
    """One line for each answer: the text alone where the answer is a text, else its columns."""
    if is_numbers(result):
        return numbers(result)
    if isinstance(result, list):
        return "\n".join(plain(item) for item in result) or "(nothing found)"
    if isinstance(result, Mapping):
        return record(result)
    return str(result)


def record(answer: Mapping[str, Any]) -> str:
    """One answer.  A conversation shows its last message, zero-shot one line for each label."""
    for key in TEXTS:
        if key in answer:
            text = answer[key]
            return str(text[-1]["content"]) if isinstance(text, list) else str(text)
    if "labels" in answer and "scores" in answer:
        pairs = zip(answer["labels"], answer["scores"], strict=True)
        return "\n".join(columns({"score": score, "label": label}) for label, score in pairs)
    return columns(answer)


def columns(answer: Mapping[str, Any]) -> str:
    """The score first and aligned, then the other values."""
    rest = [str(value) for key, value in answer.items() if key != "score"]
    return "  ".join([f"{float(answer['score']):.4f}", *rest] if "score" in answer else rest)


def is_numbers(value: Any) -> bool:
    """Whether it is an array, a tensor or nested lists of floats."""
    while isinstance(value, list) and value:
        value = value[0]
    return hasattr(value, "tolist") or isinstance(value, float)


def numbers(value: Any) -> str:
    """Shape and first numbers: a page of embeddings helps nobody (`--json` prints all)."""
    row = item = value.tolist() if hasattr(value, "tolist") else value
    shape = []
    while isinstance(item, list):
        shape.append(len(item))
        row, item = item, item[0]
    dots = " ..." if len(row) > NUMBERS_SHOWN else ""
    return f"{shape} " + " ".join(f"{number:.4f}" for number in row[:NUMBERS_SHOWN]) + dots
