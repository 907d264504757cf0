"""zero-shot-classification: any labels, scored by a model of entailment.

Each label becomes a hypothesis ("This example is {label}.") that the text may entail.  The pairs of
text and label run through the scheduler like any rows; a window holds fewer texts for many labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from enfold.errors import InputError
from enfold.tasks import checks
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Row


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of zero-shot-classification.

    candidate_labels     a list, or a string with commas
    hypothesis_template  has a {} for the label
    multi_label          True: each label is judged on its own, against contradiction
    """

    candidate_labels: str | Sequence[str] | None = None
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False
    multi_class: bool | None = None  # the older name of multi_label


class ZeroShotClassificationPipeline(Pipeline[Options]):
    """`{"sequence", "labels", "scores"}` for a text, best label first."""

    name = "zero-shot-classification"
    options = Options

    def __init__(self, model: Any, tokenizer: Any = None, **kwargs: Any) -> None:
        super().__init__(model, tokenizer, **kwargs)
        if self.entailment_id == -1:
            warnings.warn(f"{self.task}: no label of the model starts with 'entail' (label2id: "
                          f"{model.config.label2id}), its last one is taken for entailment",
                          stacklevel=2)

    @property
    def entailment_id(self) -> int:
        """The index of the label that means entailment, -1 if none is called so."""
        named = (index for label, index in self.model.config.label2id.items()
                 if label.lower().startswith("entail"))
        return next(named, -1)

    def __call__(self, sequences: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Classify a text, or many, by `candidate_labels` (also the second positional argument)."""
        if len(args) > 1 or (args and "candidate_labels" in kwargs):
            raise InputError(f"{self.task}: can't read the extra arguments {args!r}. "
                             "Do: pass the texts and candidate_labels")
        return self.apply(sequences, kwargs | ({"candidate_labels": args[0]} if args else {}))

    def resolve(self, options: Options) -> Options:
        """Split the labels and check the template."""
        labels = options.candidate_labels
        if isinstance(labels, str):
            labels = [label.strip() for label in labels.split(",") if label.strip()]
        if not labels:
            raise InputError(f"{self.task}: got candidate_labels={options.candidate_labels!r}, "
                             "expected at least one. Do: pass candidate_labels=['news', 'sport']")
        template = options.hypothesis_template
        if template.format(labels[0]) == template:
            raise InputError(f"{self.task}: hypothesis_template={template!r} has no place for the "
                             "label. Do: put a {} into it")
        chosen = options.multi_label if options.multi_class is None else options.multi_class
        return replace(options, candidate_labels=tuple(labels), multi_label=chosen)

    def rows_per_item(self, options: Options) -> int:
        """One row per label."""
        return len(options.candidate_labels or ())

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize every text with every hypothesis; a long text is cut, a hypothesis never."""
        labels = options.candidate_labels or ()
        hypotheses = [options.hypothesis_template.format(label) for label in labels]
        texts = [text for item in window for text in [self._text(item)] * len(labels)]
        pairs = hypotheses * len(window)
        try:
            encoded = self.encode(texts, pairs, truncation="only_first")
        except Exception as error:  # of the tokenizers engine: the hypothesis alone is too long
            if "too short" not in str(error):
                raise
            encoded = self.encode(texts, pairs, truncation=False)
        items = [place for place in range(len(window)) for _ in labels]
        return self.rows_of(encoded, items)

    def forward(self, batch: Batch, options: Options) -> list[Any]:
        """The logits of each pair."""
        logits = checks.want_logits(self.run_model(batch), self.model, self.task)
        return list(logits.float().cpu().numpy())

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """Labels by falling score."""
        labels = list(options.candidate_labels or ())
        scores = self._scores(np.stack([logits for _, logits in rows]), options.multi_label)
        order = scores.argsort()[::-1]
        return {"sequence": item, "labels": [labels[i] for i in order],
                "scores": scores[order].tolist()}

    def _scores(self, logits: Any, multi_label: bool) -> Any:
        """[labels, classes] -> [labels]: over the labels, or each against contradiction."""
        entails = self.entailment_id
        if not multi_label and len(logits) > 1:
            return _softmax(logits[:, entails])
        contradicts = -1 if entails == 0 else 0
        return _softmax(logits[:, [contradicts, entails]])[:, 1]

    def batch_limit(self, options: Options) -> int | None:
        """One row at a time where the config names no pad token: a decoder needs it."""
        return None if self.model.config.to_dict().get("pad_token_id") is not None else 1

    def _text(self, item: Any) -> str:
        if not checks.want_text(item, self.task):
            raise InputError(f"{self.task}: got an empty text. Do: leave empty texts out")
        return str(item)


def _softmax(values: Any) -> Any:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
