"""Batches of a dataset's columns to batches of what a model takes, a function for each task.

Each takes (batch, tokenizer, data, labels): `data` is the recipe's section, in which a column's
role gives its name, and `labels` the number of each class that is written as text, or None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from enfold.errors import DataError, nearest

Batch = dict[str, list[Any]]
Labels = Mapping[str, int] | None
IGNORED = -100


def texts(batch: Batch, tokenizer: Any, data: Mapping[str, Any], labels: Labels) -> Batch:
    """Texts, or pairs of them, and a label each."""
    pair = batch[data["text_pair"]] if data["text_pair"] else None
    made = tokenizer(batch[data["text"]], pair, truncation=True, max_length=data["max_length"])
    return {**made, "labels": numbers(batch[data["label"]], labels)}


def tokens(batch: Batch, tokenizer: Any, data: Mapping[str, Any], labels: Labels) -> Batch:
    """Words, of which the first token has the word's label."""
    made = tokenizer(batch[data["tokens"]], is_split_into_words=True, truncation=True,
                     max_length=data["max_length"])
    spread = []
    for row, tags in enumerate(batch[data["tags"]]):
        of_words, before, line = numbers(tags, labels), None, []
        if len(of_words) != len(batch[data["tokens"]][row]):
            raise DataError(f"a row has {len(batch[data['tokens']][row])} tokens and "
                            f"{len(of_words)} tags, expected as many. Do: mend that row")
        for word in made.word_ids(row):
            first = word is not None and word != before
            line.append(of_words[word] if first else IGNORED)
            before = word
        spread.append(line)
    return {**made, "labels": spread}


def answers(batch: Batch, tokenizer: Any, data: Mapping[str, Any], labels: Labels) -> Batch:
    """Windows over a question and its context, with the answer's first and last token.

    The answer is the first of SQuAD's {"text": [...], "answer_start": [...]}; a window that does
    not hold it, and a question without one, points at the first token.
    """
    side = 1 if tokenizer.padding_side == "right" else 0
    both = [batch[data["context"]], batch[data["question"]]]
    made = tokenizer(both[side], both[1 - side], max_length=data["max_length"],
                     stride=data["doc_stride"], truncation=("only_first", "only_second")[side],
                     return_overflowing_tokens=True, return_offsets_mapping=True)
    rows_of = made.pop("overflow_to_sample_mapping")
    offsets = made.pop("offset_mapping")
    found = [_window(batch[data["answers"]][row], offsets[place], made.sequence_ids(place), side)
             for place, row in enumerate(rows_of)]
    return {**made, "start_positions": [first for first, _ in found],
            "end_positions": [last for _, last in found]}


def continuations(batch: Batch, tokenizer: Any, data: Mapping[str, Any], labels: Labels) -> Batch:
    """Texts that end with the end token; with prompts, only completions are learned."""
    if data["prompt"] is None:
        begun: list[list[int]] = [[] for _ in batch[data["text"]]]
        ids = tokenizer(batch[data["text"]])["input_ids"]
    else:
        begun = tokenizer(batch[data["prompt"]])["input_ids"]
        rest = tokenizer(batch[data["completion"]], add_special_tokens=False)["input_ids"]
        begun = [_without_end(row, tokenizer.eos_token_id) for row in begun]
        ids = [[*row, *more] for row, more in zip(begun, rest, strict=True)]
    whole = [_ended(row, tokenizer.eos_token_id)[:data["max_length"]] for row in ids]
    learned = [[IGNORED] * min(len(row), len(start)) + row[len(start):]
               for row, start in zip(whole, begun, strict=True)]
    return {"input_ids": whole, "attention_mask": [[1] * len(row) for row in whole],
            "labels": learned}


def plain(batch: Batch, tokenizer: Any, data: Mapping[str, Any], labels: Labels) -> Batch:
    """Texts alone: the collator hides tokens."""
    return {**tokenizer(batch[data["text"]], truncation=True, max_length=data["max_length"])}


def pairs(batch: Batch, tokenizer: Any, data: Mapping[str, Any], labels: Labels) -> Batch:
    """Sources with the prefix, and targets."""
    made = tokenizer([data["prefix"] + text for text in batch[data["source"]]], truncation=True,
                     max_length=data["max_length"])
    wanted = tokenizer(text_target=batch[data["target"]], truncation=True,
                       max_length=data["max_target_length"] or data["max_length"])
    return {**made, "labels": wanted["input_ids"]}


def numbers(values: Iterable[Any], labels: Labels) -> list[Any]:
    """Labels as numbers."""
    if labels is None:
        return list(values)
    found = []
    for value in values:
        if value not in labels:
            raise DataError(f"the label {value!r}{nearest(str(value), labels)} is not among those "
                            f"of the training data: {', '.join(labels)}. Do: mend the row")
        found.append(labels[value])
    return found


def _window(answer: Mapping[str, Any], offsets: list[Any], parts: list[int | None], side: int
            ) -> tuple[int, int]:
    """The tokens of the answer in a window; (0, 0) if it is not there as a whole."""
    if not answer["text"]:
        return 0, 0
    begin = answer["answer_start"][0]
    end = begin + len(answer["text"][0])
    inside = [place for place, part in enumerate(parts) if part == side]
    covers = [place for place in inside if offsets[place][1] > begin and offsets[place][0] < end]
    if not covers or offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < end:
        return 0, 0
    return covers[0], covers[-1]


def _ended(ids: list[int], end: int | None) -> list[int]:
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def _without_end(ids: list[int], end: int | None) -> list[int]:
    return ids[:-1] if end is not None and len(ids) > 1 and ids[-1] == end else ids
