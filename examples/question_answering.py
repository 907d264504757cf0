r"""Train a model to mark the answer to a question in a passage, measured by exact match and F1.

    python examples/question_answering.py
    python examples/question_answering.py --model distilbert-base-uncased --data squad.jsonl \
        --lr 3e-5 --max-length 384

Rows are those of SQuAD: "id", "question", "context" and "answers" with "text" and "answer_start".
Long passages are cut into overlapping windows.  Without --model a small BERT starts from random
weights; without --data the passages are made here.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from collections import Counter
from typing import Any

import numpy as np
from start import train_tokenizer

from enfold import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    Dataset,
    Trainer,
    TrainingArguments,
    default_data_collator,
    load_dataset,
    pipeline,
    set_seed,
)

PEOPLE = ["anna", "boris", "chen", "dora", "emil", "fatima"]
THINGS = ["a lamp", "two chairs", "an old clock", "a green bicycle", "bread"]
PLACES = ["paris", "new york", "oslo", "buenos aires", "cairo"]
DAYS = ["monday", "tuesday", "friday", "sunday"]
LONGEST = 20  # tokens of an answer


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    rows = (load_dataset("json", data_files=args.data, split="train") if args.data
            else Dataset.from_list(made_questions(args.seed)))
    parts = rows.train_test_split(test_size=0.2, seed=args.seed)
    if args.model:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        model = AutoModelForQuestionAnswering.from_pretrained(args.model)
    else:
        tokenizer = train_tokenizer([*parts["train"]["context"], *parts["train"]["question"]])
        model = BertForQuestionAnswering(BertConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128, max_position_embeddings=512,
            pad_token_id=tokenizer.pad_token_id))

    def windows(batch: dict[str, list[Any]]) -> Any:
        return tokenizer(batch["question"], batch["context"], truncation="only_second",
                         max_length=args.max_length, stride=args.max_length // 3,
                         return_overflowing_tokens=True, return_offsets_mapping=True,
                         padding="max_length")

    def for_training(batch: dict[str, list[Any]]) -> Any:
        encoded = windows(batch)
        rows_of = encoded.pop("overflow_to_sample_mapping")
        offsets = encoded.pop("offset_mapping")
        encoded["start_positions"], encoded["end_positions"] = [], []
        for window, row in enumerate(rows_of):
            start, end = marked(batch["answers"][row], offsets[window],
                                encoded.sequence_ids(window))
            encoded["start_positions"].append(start)
            encoded["end_positions"].append(end)
        return encoded

    def for_evaluation(batch: dict[str, list[Any]]) -> Any:
        encoded = windows(batch)
        rows_of = encoded.pop("overflow_to_sample_mapping")
        encoded["id"] = [batch["id"][row] for row in rows_of]
        encoded["offset_mapping"] = [
            [pair if sequence == 1 else None
             for pair, sequence in zip(offsets, encoded.sequence_ids(window), strict=True)]
            for window, offsets in enumerate(encoded["offset_mapping"])]
        return encoded

    train = parts["train"].map(for_training, batched=True, remove_columns=rows.column_names)
    test = parts["test"].map(for_evaluation, batched=True, remove_columns=rows.column_names)
    folder = args.output or tempfile.mkdtemp(prefix="qa-")
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder, num_train_epochs=args.epochs, learning_rate=args.lr,
            per_device_train_batch_size=16, per_device_eval_batch_size=64, save_strategy="no",
            logging_steps=40, warmup_ratio=0.1, seed=args.seed, report_to="none"),
        train_dataset=train,
        data_collator=default_data_collator,
        processing_class=tokenizer,
    )
    trainer.train()
    starts, ends = trainer.predict(
        test.remove_columns(["id", "offset_mapping"])).predictions
    found = best_spans(parts["test"], test, starts, ends)
    exact = np.mean([found[row["id"]] in row["answers"]["text"] for row in parts["test"]])
    f1 = np.mean([max(overlap(found[row["id"]], text) for text in row["answers"]["text"])
                  for row in parts["test"]])
    print(f"{len(parts['test'])} held-out questions: exact match {exact:.1%}, F1 {f1:.1%}")

    trainer.save_model(folder)
    ask = pipeline("question-answering", model=folder)
    for row in parts["test"].select(range(3)):
        answer = ask(question=row["question"], context=row["context"])
        print(f"  {row['context']} {row['question']} {answer['answer']} ({answer['score']:.2f})")


def marked(answers: dict[str, Any], offsets: Any, sequences: list[int | None]) -> tuple[int, int]:
    """First and last token of the answer in one window; (0, 0) where it is not inside."""
    start = answers["answer_start"][0]
    end = start + len(answers["text"][0])
    inside = [place for place, sequence in enumerate(sequences) if sequence == 1
              and offsets[place][0] < end and offsets[place][1] > start]
    if not inside or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return 0, 0
    return inside[0], inside[-1]


def best_spans(rows: Any, windows: Any, starts: Any, ends: Any) -> dict[str, str]:
    """The text of the likeliest span for each question, over all of its windows."""
    contexts = dict(zip(rows["id"], rows["context"], strict=True))
    best: dict[str, tuple[float, str]] = dict.fromkeys(contexts, (-np.inf, ""))
    for number, window in enumerate(windows):
        offsets, name = window["offset_mapping"], window["id"]
        for first in np.argsort(starts[number])[-20:]:
            for last in range(first, min(first + LONGEST, len(offsets))):
                score = float(starts[number][first] + ends[number][last])
                if offsets[first] and offsets[last] and score > best[name][0]:
                    text = contexts[name][offsets[first][0]:offsets[last][1]]
                    best[name] = (score, text)
    return {name: text for name, (_, text) in best.items()}


def overlap(found: str, wanted: str) -> float:
    """F1 over the words of two answers."""
    a, b = found.split(), wanted.split()
    return 2 * sum((Counter(a) & Counter(b)).values()) / max(len(a) + len(b), 1)


def made_questions(seed: int) -> list[dict[str, Any]]:
    """One question, drawn from four kinds, about each of 600 sentences."""
    draw, made = random.Random(seed), []
    for who, what, where, when in itertools.product(PEOPLE, THINGS, PLACES, DAYS):
        context = draw.choice([f"{who} bought {what} in {where} on {when} .",
                               f"on {when} {who} was in {where} and bought {what} ."])
        question, answer = draw.choice([
            (f"where did {who} go ?", where), (f"what did {who} buy ?", what),
            (f"when was {who} there ?", when), ("who bought something ?", who)])
        made.append({"id": str(len(made)), "question": question, "context": context,
                     "answers": {"text": [answer], "answer_start": [context.index(answer)]}})
    return made


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a repository of the Hub")
    parser.add_argument("--data", help="a file of JSON lines with the fields of SQuAD")
    parser.add_argument("--max-length", type=int, default=32, help="tokens in a window")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
