"""question-answering: the part of a context that answers a question.

A context too long for the model is cut into overlapping rows; the best spans of all rows compete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from enfold.errors import InputError
from enfold.tasks import checks, streams
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Row
from enfold.tasks.spans import Spans, best_spans


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of question-answering.

    top_k                     answers to return; one gives a dict, more a list
    doc_stride                tokens that neighbouring rows share; 128, or half of max_seq_len
    max_answer_len            tokens of the longest answer
    max_seq_len               tokens of a row, question and special tokens included; 384 or the
                              tokenizer's limit
    max_question_len          cut the question to this many tokens; None: leave it whole
    handle_impossible_answer  whether "" (no answer) competes
    align_to_words            widen an answer to whole words
    padding                   "max_length" pads every row to max_seq_len
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int | None = None
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    padding: bool | str = "do_not_pad"
    topk: int | None = None  # the older name of top_k

    @property
    def answers(self) -> int:
        """How many answers are wanted."""
        return self.top_k if self.topk is None else self.topk


@dataclass
class SquadExample:
    """A question and its context, as SQuAD has them."""

    qas_id: str | None
    question_text: str
    context_text: str
    answer_text: str | None = None
    start_position_character: int | None = None
    title: str | None = None
    answers: list[Any] = field(default_factory=list)
    is_impossible: bool = False


class QuestionAnsweringPipeline(Pipeline[Options]):
    """`{"score", "start", "end", "answer"}`, start and end in characters of the context.

    Takes `question=, context=` (strings, or lists), a dict with these keys, a `SquadExample`, or a
    list or stream of either.  One example gives one result, also in a list.
    """

    name = "question-answering"
    options = Options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one question, or many."""
        inputs = read_arguments(args, kwargs, self.task)
        if isinstance(inputs, (list, tuple)):
            inputs = [normalize(item, self.task) for item in inputs]
            inputs = inputs[0] if len(inputs) == 1 else inputs
        return self.apply(inputs, kwargs)

    @staticmethod
    def create_sample(question: Any, context: Any) -> Any:
        """A `SquadExample`, or a list of them for lists of questions and contexts."""
        if isinstance(question, list):
            return [SquadExample(None, q, c) for q, c in zip(question, context, strict=True)]
        return SquadExample(None, question, context)

    def resolve(self, options: Options) -> Options:
        """Check the counts."""
        for name, count in (("top_k", options.answers), ("max_answer_len", options.max_answer_len)):
            if count < 1:
                raise InputError(f"{self.task}: {name}={count}, expected 1 or more")
        longest, stride = self._lengths(options)
        if stride > longest:
            raise InputError(f"{self.task}: doc_stride={stride} is larger than "
                             f"max_seq_len={longest}. Do: lower it")
        return options

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize question-context pairs, cutting long contexts into rows."""
        examples = [normalize(item, self.task) for item in window]
        longest, stride = self._lengths(options)
        first = self.tokenizer.padding_side == "right"  # the others read the context first
        limit = options.max_question_len
        questions = [self._question(e.question_text, limit) for e in examples]
        contexts = [e.context_text for e in examples]
        try:
            encoded = self.encode(
                *((questions, contexts) if first else (contexts, questions)),
                padding=options.padding, truncation="only_second" if first else "only_first",
                max_length=longest, stride=stride, return_token_type_ids=True,
                return_overflowing_tokens=True, return_offsets_mapping=True)
        except Exception as error:  # the tokenizers engine raises no narrower class
            if "too short" not in str(error):
                raise
            raise InputError(f"{self.task}: a question leaves no room for the context in "
                             f"max_seq_len={longest} tokens with doc_stride={stride}. "
                             "Do: pass max_question_len, or a larger max_seq_len") from error
        rows = self.rows_of(encoded, encoded["overflow_to_sample_mapping"])
        for line, row in enumerate(rows):
            if "token_type_ids" not in self.tokenizer.model_input_names:
                row.features.pop("token_type_ids", None)
            row.extra = Context(encoded, line, int(first), examples[row.item].context_text)
        return rows

    def forward(self, batch: Batch, options: Options) -> list[Spans]:
        """The best spans of each row."""
        import torch

        output = self.run_model(batch)
        start, end = (checks.want_logits(output, self.model, self.task, name)
                      for name in ("start_logits", "end_logits"))
        allowed = np.zeros(tuple(start.shape), dtype=bool)
        for line, row in zip(allowed, batch.rows, strict=True):
            line[:len(row)] = self._allowed(row)
        candidates = options.answers * 2 + 10 if options.align_to_words else options.answers
        return best_spans(start, end, torch.from_numpy(allowed).to(start.device), candidates,
                          options.max_answer_len)

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """The best answers of all rows; spans that read the same are one answer, scores summed."""
        answers: dict[str, dict[str, Any]] = {}
        for row, found in rows:
            for first, last, score in found.spans:
                start, end = row.extra.characters(first, last, options.align_to_words)
                text = row.extra.text[start:end]
                known = answers.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end,
                                                          "answer": text})
                known["score"] += score
        ranked = list(answers.values())
        if options.handle_impossible_answer:
            null = min([1_000_000.0, *(found.null for _, found in rows)])
            ranked.append({"score": null, "start": 0, "end": 0, "answer": ""})
        if not ranked:
            ranked.append({"score": 0.0, "start": 0, "end": 0, "answer": ""})
        ranked = sorted(ranked, key=lambda answer: -answer["score"])[:options.answers]
        return ranked[0] if len(ranked) == 1 else ranked

    def _lengths(self, options: Options) -> tuple[int, int]:
        longest = options.max_seq_len or min(self.tokenizer.model_max_length, 384)
        stride = min(longest // 2, 128) if options.doc_stride is None else options.doc_stride
        return longest, stride

    def _question(self, text: str, limit: int | None) -> str:
        if limit is None:
            return text
        cut = self.tokenizer(text, add_special_tokens=False, truncation=True, max_length=limit,
                             return_offsets_mapping=True)
        return text[:cut["offset_mapping"][-1][1]]

    def _allowed(self, row: Row) -> list[bool]:
        """The context's tokens, and the first special token where models put "no answer"."""
        cls, ids = self.tokenizer.cls_token_id, row.features["input_ids"]
        real = row.features.get("attention_mask") or [1] * len(ids)
        sides = row.extra.encoded.sequence_ids(row.extra.line)
        return [bool(on) and (side == row.extra.side or (cls is not None and token == cls))
                for side, token, on in zip(sides, ids, real, strict=True)]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a row's tokens are in the context: line `line` of a tokenizer's result, text `side`."""

    encoded: Any
    line: int
    side: int
    text: str

    def characters(self, first: int, last: int, words: bool) -> tuple[int, int]:
        """The characters of a span of tokens, widened to whole words if asked and known."""
        if words:
            ends = [self.encoded.token_to_word(self.line, token) for token in (first, last)]
            if None not in ends:
                spans = [self.encoded.word_to_chars(self.line, word, self.side) for word in ends]
                return spans[0][0], spans[1][1]
        offsets = self.encoded["offset_mapping"][self.line]
        return offsets[first][0], offsets[last][1]


def read_arguments(args: Sequence[Any], kwargs: dict[str, Any], where: str) -> Any:
    """The examples from any of the accepted forms; takes its names out of `kwargs`."""
    if len(args) == 2 and all(isinstance(arg, str) for arg in args):
        return [{"question": args[0], "context": args[1]}]
    if len(args) == 1:
        single = isinstance(args[0], (Mapping, SquadExample)) or not streams.is_many(args[0])
        return [args[0]] if single else args[0]
    if args:
        return list(args)
    for name in ("X", "data"):
        if name in kwargs:
            return read_arguments([kwargs.pop(name)], kwargs, where)
    return list(pairs(kwargs.pop("question", None), kwargs.pop("context", None), where))


def pairs(question: Any, context: Any, where: str) -> Iterator[dict[str, Any]]:
    """Examples from `question` and `context`: strings, lists, or one context for all questions."""
    if not isinstance(question, list) and not isinstance(context, list):
        question, context = [question], [context]
    elif isinstance(question, list) and isinstance(context, str):
        context = [context] * len(question)
    if not (isinstance(question, list) and isinstance(context, list)):
        raise InputError(f"{where}: question is a {type(question).__name__}, context a "
                         f"{type(context).__name__}. Do: pass two strings, two lists, or a list "
                         "of questions and one context")
    if len(question) != len(context):
        raise InputError(f"{where}: {len(question)} questions but {len(context)} contexts")
    return ({"question": q, "context": c} for q, c in zip(question, context, strict=True))


def normalize(item: Any, where: str) -> SquadExample:
    """A `SquadExample` with a question and a context."""
    if isinstance(item, SquadExample) or hasattr(item, "context_text"):
        return item  # type: ignore[no-any-return]
    if not isinstance(item, Mapping):
        raise InputError(f"{where}: got {checks.describe(item)}, expected a question and its "
                         "context. Do: pass question=..., context=..., or a dict with these keys")
    for name in ("question", "context"):
        if not item.get(name):
            state = "is missing" if item.get(name) is None else "is empty"
            raise InputError(f"{where}: {name!r} {state}. Do: pass question=..., context=...")
        checks.want_text(item[name], f"{where}, {name}")
    return SquadExample(None, item["question"], item["context"])
