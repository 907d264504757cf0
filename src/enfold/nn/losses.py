"""Losses as the reference defines them.  B batch, T time, V vocabulary, C classes"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.errors import InputError
from enfold.nn.vocabulary import summed_entropy

IGNORED = -100


def cross_entropy(logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
    """Mean in fp32 over the labels that aren't -100, or their sum / `items`."""
    logits = logits.reshape(-1, logits.shape[-1]).float()
    labels = labels.reshape(-1).to(logits.device)
    if items is None:
        return _entropy(logits, labels, IGNORED)
    return _entropy(logits, labels, IGNORED, reduction="sum") / items


def next_token(logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
    """logits [B, T, V] at t against labels [B, T] at t + 1."""
    same_length(logits, labels)
    return cross_entropy(logits[:, :-1], labels[:, 1:], items)


def tokens(logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
    """logits [B, T, C] against labels [B, T], place by place."""
    same_length(logits, labels)
    return cross_entropy(logits, labels, items)


def problem_type(count: int, labels: Tensor) -> str:
    """What the labels ask for, as config.problem_type spells it."""
    if count == 1:
        return "regression"
    integer = labels.dtype in (torch.long, torch.int)
    return "single_label_classification" if integer else "multi_label_classification"


def classes(logits: Tensor, labels: Tensor, problem: str) -> Tensor:
    """logits [B, C] against class indices [B], numbers [B] or [B, C], or 0/1 rows [B, C]."""
    labels = labels.to(logits.device)
    if problem == "regression":
        return F.mse_loss(logits.squeeze(), labels.squeeze().to(logits.dtype))
    if problem == "single_label_classification":
        if labels.numel() != logits.shape[0]:
            raise InputError(f"labels have shape {tuple(labels.shape)}, expected "
                             f"[{logits.shape[0]}] class indices. "
                             "Do: set config.problem_type='multi_label_classification' for rows "
                             "of 0 and 1")
        return _entropy(logits, labels.reshape(-1), IGNORED)
    if problem == "multi_label_classification":
        if labels.shape != logits.shape:
            raise InputError(
                f"labels have shape {tuple(labels.shape)} and are of {labels.dtype}, expected "
                f"{list(logits.shape)}, 0 or 1 for each class (multi_label_classification, which "
                "labels with a fraction mean too). Do: whole numbers for one class per text, or "
                "num_labels=1 for regression")
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    raise InputError(f"config.problem_type is {problem!r}, expected 'regression', "
                     "'single_label_classification' or 'multi_label_classification'")


def span(start: Tensor, end: Tensor, start_labels: Tensor, end_labels: Tensor) -> Tensor:
    """Mean of the losses of start and end [B, T]; positions outside of the text are ignored."""
    length = start.shape[1]
    losses = [_entropy(logits, labels.reshape(-1).clamp(0, length), length)
              for logits, labels in ((start, start_labels), (end, end_labels))]
    return (losses[0] + losses[1]) / 2


def projected(hidden: Tensor, out: nn.Linear, labels: Tensor, items: Tensor | int | None = None,
              fixed: Tensor | None = None) -> Tensor:
    """Cross-entropy of out(hidden) + fixed, [N, V], without ever holding all of it: a mean over
    labels [N], none of which is -100, or their sum / `items`.
    """
    _check_indices(labels)
    if labels.device.type == "cpu" and bool(((labels < 0) | (labels >= out.out_features)).any()):
        raise _outside(labels, out.out_features, IGNORED)
    total = summed_entropy(hidden, out, labels.long().to(hidden.device), fixed)
    return total / (labels.numel() if items is None else items)


def balance(routers: Sequence[Tensor], top_k: int, mask: Tensor | None = None) -> Tensor:
    """How unevenly routers use their experts (https://arxiv.org/abs/2101.03961, equations 4 to 6).

    routers: logits [B * T, E] of each layer; mask [B, T]: ones where a token counts.  The experts
    of all layers count together, as in the reference; used evenly, the loss is top_k.
    """
    device, experts = routers[0].device, routers[0].shape[-1]
    used = shares = counted = torch.zeros((), device=device)
    for logits in routers:
        share = logits.to(device).softmax(-1)
        hits = F.one_hot(share.topk(top_k, -1).indices, experts).sum(1).float()
        seen = hits.new_ones(len(hits)) if mask is None else mask.reshape(-1).to(hits)
        used = used + seen @ hits
        shares = shares + seen @ share.float()
        counted = counted + seen.sum()
    return (used / counted * (shares / counted)).sum() * experts


def _entropy(logits: Tensor, labels: Tensor, ignored: int, reduction: str = "mean") -> Tensor:
    """logits [N, C] against class indices [N]."""
    _check_indices(labels)
    if labels.shape[0] != logits.shape[0]:
        raise InputError(f"there are {labels.shape[0]} labels for {logits.shape[0]} predictions. "
                         "Do: give one per text, choice or token that is predicted")
    try:
        return F.cross_entropy(logits, labels.long(), ignore_index=ignored, reduction=reduction)
    except IndexError:
        raise _outside(labels, logits.shape[1], ignored) from None


def _check_indices(labels: Tensor) -> None:
    if labels.is_floating_point():
        raise InputError(f"labels are of {labels.dtype}, expected torch.long, class indices. Do: "
                         "labels.long(), or config.problem_type='regression'")


def _outside(labels: Tensor, classes: int, ignored: int) -> InputError:
    bad = labels[(labels != ignored) & ((labels < 0) | (labels >= classes))]
    return InputError(f"labels hold {int(bad[0])}, expected 0 to {classes - 1}, or {ignored} "
                      "for what does not count. Do: correct them, or load the model with "
                      "num_labels=")


def same_length(logits: Tensor, labels: Tensor) -> None:
    """Raise unless labels [B, T] are one for each position of logits [B, T, ..]."""
    if labels.shape != logits.shape[:2]:
        raise InputError(f"labels have shape {tuple(labels.shape)}, expected "
                         f"{tuple(logits.shape[:2])} (one per token). "
                         "Do: pad labels with -100 to the length of input_ids")
