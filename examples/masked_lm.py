"""Train a tokenizer and then a masked language model from random weights, on lines of text.

    python examples/masked_lm.py
    python examples/masked_lm.py --data corpus.txt --vocab 16000 --block 128
    python examples/masked_lm.py --model distilbert-base-uncased --data corpus.txt --lr 5e-5

The texts are joined and cut into blocks of equal length; 15 of 100 tokens are hidden, drawn anew
at every step.  With --model its weights and its tokenizer are trained further.  Without --data
the text is 480 short reviews.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from start import train_tokenizer

from enfold import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
    load_dataset,
    pipeline,
    set_seed,
)

DATA = Path(__file__).parent / "data" / "reviews-train.csv"


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    kind = "csv" if args.data.endswith(".csv") else "text"
    rows = load_dataset(kind, data_files=args.data, split="train")
    parts = rows.train_test_split(test_size=0.1, seed=args.seed)
    if args.model:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        model = AutoModelForMaskedLM.from_pretrained(args.model)
    else:
        tokenizer = train_tokenizer(parts["train"]["text"], size=args.vocab)
        model = BertForMaskedLM(BertConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=1, num_attention_heads=4,
            intermediate_size=128, initializer_range=0.05,
            max_position_embeddings=max(args.block, 128), hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, pad_token_id=tokenizer.pad_token_id))

    def tokenize(batch: dict[str, list[str]]) -> Any:
        return tokenizer(batch["text"], return_special_tokens_mask=True)

    def group(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: list(itertools.chain(*lists)) for name, lists in batch.items()}
        whole = len(joined["input_ids"]) // args.block * args.block
        return {name: [values[at:at + args.block] for at in range(0, whole, args.block)]
                for name, values in joined.items()}

    blocks = parts.map(tokenize, batched=True, remove_columns=rows.column_names)
    blocks = blocks.map(group, batched=True)
    folder = args.output or tempfile.mkdtemp(prefix="masked-")
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder, num_train_epochs=args.epochs, learning_rate=args.lr,
            per_device_train_batch_size=8, per_device_eval_batch_size=32, weight_decay=0.01,
            warmup_ratio=0.1, save_strategy="no", logging_steps=100, seed=args.seed,
            report_to="none"),
        train_dataset=blocks["train"],
        eval_dataset=blocks["test"],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
        processing_class=tokenizer,
    )
    trainer.train()
    measured = trainer.evaluate()["eval_loss"]
    print(f"Perplexity of hidden tokens in held-out text: {math.exp(measured):.1f}; "
          f"guessing by frequency alone: {frequency_alone(blocks, len(tokenizer)):.1f}")

    trainer.save_model(folder)
    fill = pipeline("fill-mask", model=folder, top_k=3)
    text = parts["test"]["text"][0]
    words = tokenizer.tokenize(text)
    middle = len(words) // 2
    hidden = tokenizer.convert_tokens_to_string(
        [*words[:middle], tokenizer.mask_token, *words[middle + 1:]])
    print(f"{hidden}   (hidden: {words[middle]})")
    for guess in fill(hidden):
        print(f"  {guess['score']:.3f}  {guess['token_str']}")


def frequency_alone(blocks: Any, vocabulary: int) -> float:
    """Perplexity of held-out tokens under their counts in the training text, plus one."""
    seen = Counter(itertools.chain(*blocks["train"]["input_ids"]))
    total = seen.total() + vocabulary
    held = [token for ids, special in zip(blocks["test"]["input_ids"],
                                          blocks["test"]["special_tokens_mask"], strict=True)
            for token, framing in zip(ids, special, strict=True) if not framing]
    return math.exp(-sum(math.log((seen[token] + 1) / total) for token in held) / len(held))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a repository of the Hub")
    parser.add_argument("--data", default=str(DATA),
                        help="a text file, or a .csv with a column text")
    parser.add_argument("--vocab", type=int, default=400, help="tokens of the new tokenizer")
    parser.add_argument("--block", type=int, default=32, help="tokens in one row")
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
