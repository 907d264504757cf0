"""Train every weight of a text classifier on a table with the columns "text" and "label".

    python examples/finetune_classifier.py
    python examples/finetune_classifier.py --model distilbert-base-uncased --lr 2e-5 --data FOLDER

Without --model a small BERT starts from random weights, with a tokenizer trained on the texts;
without --data it reads 480 short reviews and is measured on 120 others.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from start import train_tokenizer

from enfold import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    load_dataset,
    pipeline,
    set_seed,
)

DATA = Path(__file__).parent / "data"


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    files = {split: str(Path(args.data) / f"reviews-{split}.csv") for split in ("train", "test")}
    texts = load_dataset("csv", data_files=files)
    texts = texts.class_encode_column("label")
    names = texts["train"].features["label"].names
    labels = {"num_labels": len(names), "id2label": dict(enumerate(names)),
              "label2id": {name: number for number, name in enumerate(names)}}
    if args.model:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        model = AutoModelForSequenceClassification.from_pretrained(args.model, **labels)
    else:
        tokenizer = train_tokenizer(texts["train"]["text"])
        model = BertForSequenceClassification(BertConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128, max_position_embeddings=128,
            pad_token_id=tokenizer.pad_token_id, **labels))

    def tokenize(batch: dict[str, list[Any]]) -> Any:
        return tokenizer(batch["text"], truncation=True, max_length=128)

    tokens = texts.map(tokenize, batched=True)
    folder = args.output or tempfile.mkdtemp(prefix="classifier-")
    training_args = TrainingArguments(
        output_dir=folder,
        num_train_epochs=args.epochs,
        learning_rate=args.lr,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
        weight_decay=0.01,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=30,
        seed=args.seed,
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=training_args,
        train_dataset=tokens["train"],
        eval_dataset=tokens["test"],
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    trainer.train()
    metrics = trainer.evaluate()
    most = Counter(texts["test"]["label"]).most_common(1)[0][1] / len(texts["test"])
    print(f"Accuracy on {len(texts['test'])} held-out texts: {metrics['eval_accuracy']:.1%}; "
          f"always the commonest class: {most:.1%}")

    trainer.save_model(folder)
    classify = pipeline("text-classification", model=folder)
    for text in texts["test"]["text"][:3]:
        print(f"{classify(text)[0]['label']:10} {text}")


def compute_metrics(prediction: Any) -> dict[str, float]:
    logits, labels = prediction
    return {"accuracy": float((np.argmax(logits, axis=-1) == labels).mean())}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a repository of the Hub")
    parser.add_argument("--data", default=str(DATA),
                        help="a folder with reviews-train.csv and reviews-test.csv, text,label")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
