"""Train a token classifier on words with BIO tags, and measure it by whole names found.

    python examples/ner.py
    python examples/ner.py --model distilbert-base-cased --data conll2003.jsonl --lr 5e-5

Each row has "tokens" (a list of words) and "tags" (a list of strings such as B-PER).  Without
--model a small BERT starts from random weights; without --data the sentences are made here, and
half of the names of the held-out ones are seen for the first time.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from typing import Any

import numpy as np
from start import train_tokenizer

from enfold import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    Dataset,
    Trainer,
    TrainingArguments,
    load_dataset,
    pipeline,
    set_seed,
)

PEOPLE = ["anna", "boris", "chen", "dora", "emil", "fatima", "george", "hana", "ivan", "julia",
          "kofi", "lena", "marta", "nils", "olga"]
PLACES = ["paris", "oslo", "lima", "cairo", "delhi", "quito", "berlin", "tokyo", "accra", "dublin"]
FIRMS = ["acme", "globex", "initech", "umbra", "vandelay", "hooli", "soylent", "tyrell", "wonka"]
PATTERNS = """\
PER went to LOC by train
PER works for ORG in LOC
ORG opened an office in LOC
yesterday ORG hired PER
the people of LOC like PER
PER and PER met in LOC
shares of ORG fell after PER left""".splitlines()


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    rows = (load_dataset("json", data_files=args.data, split="train") if args.data
            else Dataset.from_list(made_sentences(args.rows, args.seed)))
    parts = rows.train_test_split(test_size=0.2, seed=args.seed, shuffle=bool(args.data))
    names = sorted({tag for tags in rows["tags"] for tag in tags})
    label2id = {name: number for number, name in enumerate(names)}
    labels = {"num_labels": len(names), "id2label": dict(enumerate(names)), "label2id": label2id}
    if args.model:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        model = AutoModelForTokenClassification.from_pretrained(args.model, **labels)
    else:
        tokenizer = train_tokenizer(" ".join(words) for words in parts["train"]["tokens"])
        model = BertForTokenClassification(BertConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128, max_position_embeddings=128,
            pad_token_id=tokenizer.pad_token_id, **labels))

    def tokenize_and_align(batch: dict[str, list[Any]]) -> Any:
        encoded = tokenizer(batch["tokens"], is_split_into_words=True, truncation=True,
                            max_length=128)
        encoded["labels"] = []
        for row, tags in enumerate(batch["tags"]):
            before, aligned = None, []
            for word in encoded.word_ids(batch_index=row):
                first = word is not None and word != before
                aligned.append(label2id[tags[word]] if first else -100)
                before = word
            encoded["labels"].append(aligned)
        return encoded

    def compute_metrics(prediction: Any) -> dict[str, float]:
        chosen = np.argmax(prediction.predictions, axis=-1)
        found, true = set(), set()
        for row, (guess, label) in enumerate(zip(chosen, prediction.label_ids, strict=True)):
            kept = label != -100
            found |= {(row, *name) for name in spans([names[tag] for tag in guess[kept]])}
            true |= {(row, *name) for name in spans([names[tag] for tag in label[kept]])}
        right = len(found & true)
        return {"precision": right / max(len(found), 1), "recall": right / max(len(true), 1),
                "f1": 2 * right / max(len(found) + len(true), 1)}

    tokens = parts.map(tokenize_and_align, batched=True, remove_columns=rows.column_names)
    folder = args.output or tempfile.mkdtemp(prefix="ner-")
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder, num_train_epochs=args.epochs, learning_rate=args.lr,
            per_device_train_batch_size=16, per_device_eval_batch_size=64, save_strategy="no",
            eval_strategy="epoch", logging_steps=20, seed=args.seed, report_to="none"),
        train_dataset=tokens["train"],
        eval_dataset=tokens["test"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    trainer.train()
    measured = trainer.evaluate()
    print(f"Names found in {len(parts['test'])} held-out sentences: "
          f"precision {measured['eval_precision']:.1%}, recall {measured['eval_recall']:.1%}, "
          f"F1 {measured['eval_f1']:.1%}")

    trainer.save_model(folder)
    find = pipeline("token-classification", model=folder, aggregation_strategy="simple")
    sentence = " ".join(parts["test"][0]["tokens"])
    print(sentence)
    for name in find(sentence):
        print(f"  {name['entity_group']:4} {name['score']:.3f}  {name['word']}")


def spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """The names in a row of BIO tags as (kind, first, after the last)."""
    found, start = set(), None
    for place, tag in enumerate([*tags, "O"]):
        if start is not None and tag != "I-" + tags[start][2:]:
            found.add((tags[start][2:], start, place))
            start = None
        if tag.startswith("B-"):
            start = place
    return found


def made_sentences(rows: int, seed: int) -> list[dict[str, list[str]]]:
    """Sentences from patterns; only the last fifth draws from all names, not every second."""
    draw = random.Random(seed)
    kinds = {"PER": PEOPLE, "LOC": PLACES, "ORG": FIRMS}
    made = []
    for row in range(rows):
        words, tags = [], []
        for word in draw.choice(PATTERNS).split():
            if word not in kinds:
                words, tags = [*words, word], [*tags, "O"]
                continue
            known = kinds[word] if row >= 0.8 * rows else kinds[word][::2]
            name = [draw.choice(known)]
            if word == "ORG" and draw.random() < 0.5:
                name.append("group")
            words += name
            tags += ["B-" + word] + ["I-" + word] * (len(name) - 1)
        made.append({"tokens": words, "tags": tags})
    return made


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a repository of the Hub")
    parser.add_argument("--data", help="a file of JSON lines with tokens and tags")
    parser.add_argument("--rows", type=int, default=500, help="sentences to make without --data")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
