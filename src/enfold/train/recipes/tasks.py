"""The tasks of recipes: which model, which columns, what rows and batches are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from enfold.train import collate
from enfold.train.recipes import rows, scores

Batch = dict[str, list[Any]]


@dataclass(frozen=True)
class Task:
    """One line of the table.

    auto: the Auto class.  columns: what a row has to have -> the usual name of its column; None
    may be absent.  settings: further keys of `data:` with their defaults.  rows(batch, tokenizer,
    data, labels): a batch of rows as the model takes them.  collator(tokenizer, model, data).
    peft: LoraConfig's task_type.  labels: the column of class labels.  keep(logits, labels) and
    scores(prediction): preprocess_logits_for_metrics and compute_metrics.
    """

    name: str
    auto: str
    columns: dict[str, str | None]
    rows: Callable[..., Batch]
    collator: Callable[[Any, Any, dict[str, Any]], Any]
    settings: dict[str, Any] = field(default_factory=dict)
    peft: str | None = None
    labels: str | None = None
    keep: Callable[[Any, Any], Any] | None = None
    scores: Callable[[Any], dict[str, float]] | None = None
    generates: bool = False


def _padding(tokenizer: Any, model: Any, data: dict[str, Any]) -> Any:
    return collate.DataCollatorWithPadding(tokenizer)


def _token_labels(tokenizer: Any, model: Any, data: dict[str, Any]) -> Any:
    return collate.DataCollatorForTokenClassification(tokenizer)


def _hiding(tokenizer: Any, model: Any, data: dict[str, Any]) -> Any:
    return collate.DataCollatorForLanguageModeling(
        tokenizer, mlm_probability=data["mlm_probability"])


def _pairs(tokenizer: Any, model: Any, data: dict[str, Any]) -> Any:
    return collate.DataCollatorForSeq2Seq(tokenizer, model)


LENGTH = {"max_length": None}
TASKS = {task.name: task for task in (
    Task("text-classification", "AutoModelForSequenceClassification",
         {"text": "text", "text_pair": None, "label": "label"}, rows.texts, _padding, LENGTH,
         "SEQ_CLS", "label", scores.chosen, scores.accuracy),
    Task("token-classification", "AutoModelForTokenClassification",
         {"tokens": "tokens", "tags": "tags"}, rows.tokens, _token_labels, LENGTH,
         "TOKEN_CLS", "tags", scores.chosen, scores.accuracy),
    Task("question-answering", "AutoModelForQuestionAnswering",
         {"question": "question", "context": "context", "answers": "answers"}, rows.answers,
         _padding, {"max_length": None, "doc_stride": None}, "QUESTION_ANS",
         keep=scores.spans, scores=scores.exact_spans),
    Task("causal-lm", "AutoModelForCausalLM",
         {"text": "text", "prompt": None, "completion": None}, rows.continuations, _token_labels,
         LENGTH, "CAUSAL_LM"),
    Task("masked-lm", "AutoModelForMaskedLM", {"text": "text"}, rows.plain, _hiding,
         {"max_length": None, "mlm_probability": 0.15}),
    Task("seq2seq", "AutoModelForSeq2SeqLM", {"source": "source", "target": "target"},
         rows.pairs, _pairs, {"max_length": None, "max_target_length": None, "prefix": ""},
         "SEQ_2_SEQ_LM", generates=True),
)}
