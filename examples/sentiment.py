"""Fine-tune a small encoder with LoRA to tell happy reviews from unhappy ones, in two languages.

    python examples/sentiment.py
    python examples/sentiment.py --model sentence-transformers/all-MiniLM-L6-v2 --epochs 5

480 short reviews to learn from, 120 held out (`examples/data`).  The trained adapter and head are
merged, saved to a folder, and used through `pipeline`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from demo import trained

from enfold import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ClassLabel,
    DataCollatorWithPadding,
    LoraConfig,
    Trainer,
    TrainingArguments,
    get_peft_model,
    load_dataset,
    pipeline,
    set_seed,
)

DATA = Path(__file__).parent / "data"
LABELS = ["NEGATIVE", "POSITIVE"]


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    reviews = load_dataset("csv", data_files={split: str(DATA / f"reviews-{split}.csv")
                                              for split in ("train", "test")})
    reviews = reviews.cast_column("label", ClassLabel(names=LABELS))
    tokens = reviews.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=64),
                         batched=True, remove_columns=["text", "language"])

    model = AutoModelForSequenceClassification.from_pretrained(
        args.model, id2label=dict(enumerate(LABELS)),
        label2id={name: number for number, name in enumerate(LABELS)})
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=16, lora_alpha=32,
                                             target_modules=["query", "value", "dense"]))
    model.print_trainable_parameters()

    folder = Path(args.output or tempfile.mkdtemp(prefix="sentiment-"))
    trainer = Trainer(
        model,
        TrainingArguments(str(folder / "run"), num_train_epochs=args.epochs, learning_rate=2e-3,
                          per_device_train_batch_size=16, per_device_eval_batch_size=64,
                          eval_strategy="epoch", save_strategy="epoch", save_total_limit=1,
                          load_best_model_at_end=True, metric_for_best_model="accuracy",
                          lr_scheduler_type="linear", warmup_ratio=0.1, seed=args.seed,
                          logging_steps=10, report_to="none"),
        train_dataset=tokens["train"], eval_dataset=tokens["test"],
        data_collator=DataCollatorWithPadding(tokenizer), processing_class=tokenizer,
        compute_metrics=accuracy)
    trainer.train()
    measured = trainer.evaluate()["eval_accuracy"]
    most = Counter(reviews["test"]["label"][:]).most_common(1)[0][1] / len(reviews["test"])
    print(f"\nHeld-out accuracy {measured:.1%}; always the commoner class {most:.1%}")

    trainer.model.merge_and_unload().save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    classify = pipeline("text-classification", model=str(folder / "model"))
    for text in ["I love this movie!", "The food was cold, the waiter rude.", "这家餐厅太好了！"]:
        answer = classify(text)[0]
        print(f"{answer['label']:8} {answer['score']:.3f}  {text}")
    print(f"The model is in {folder / 'model'}")


def accuracy(prediction: Any) -> dict[str, float]:
    """The share of rows whose largest logit is that of their label."""
    chosen = np.argmax(prediction.predictions, axis=-1)
    return {"accuracy": float((chosen == prediction.label_ids).mean())}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="a folder or a repository of the Hub")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    args = parser.parse_args()
    args.model = args.model or trained()
    return args


if __name__ == "__main__":
    main()
