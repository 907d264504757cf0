"""What evaluations of recipes count, besides the loss."""

from __future__ import annotations

from typing import Any

import numpy as np


def chosen(logits: Any, labels: Any) -> Any:
    """The class of each row or token, so that an evaluation holds no logits; numbers as they are.

    logits [..., classes]; with one class the task is regression.
    """
    logits = logits[0] if isinstance(logits, tuple) else logits
    return logits.argmax(-1) if logits.shape[-1] > 1 else logits.squeeze(-1)


def accuracy(prediction: Any) -> dict[str, float]:
    """The share of rows or tokens with the right class; of regression, the mean square error."""
    got, wanted = prediction
    if np.issubdtype(wanted.dtype, np.floating):
        return {"mse": float(((got - wanted) ** 2).mean())}
    counted = wanted != -100
    return {"accuracy": float((got == wanted)[counted].mean())}


def spans(logits: Any, labels: Any) -> Any:
    """The most probable first and last token of each row."""
    return tuple(part.argmax(-1) for part in logits[:2])


def exact_spans(prediction: Any) -> dict[str, float]:
    """The share of windows whose first and last token are both right."""
    right = [got == wanted for got, wanted in zip(*prediction, strict=True)]
    return {"exact_spans": float((right[0] & right[1]).mean())}
