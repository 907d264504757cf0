"""Train an encoder-decoder to translate, measured by what it generates (Seq2SeqTrainer).

    python examples/translation.py
    python examples/translation.py --model Helsinki-NLP/opus-mt-en-fr --data pairs.jsonl --lr 2e-5

Each row has "source" and "target".  Without --model a small BART starts from random weights;
without --data the pairs are made here: English to French, where adjectives follow their nouns and
none of the held-out sentences was seen in training.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from typing import Any

import numpy as np
from start import train_tokenizer

from enfold import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    DataCollatorForSeq2Seq,
    Dataset,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    load_dataset,
    set_seed,
)

WHO = {"the cat": "le chat", "the dog": "le chien", "my brother": "mon frere", "paul": "paul"}
DOES = {"sees": "voit", "wants": "veut", "buys": "achete", "paints": "peint"}
KIND = {"red": "rouge", "yellow": "jaune", "modern": "moderne", "tiny": "minuscule"}
THING = {"book": "un livre", "table": "une table", "bus": "un bus", "house": "une maison"}


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    rows = (load_dataset("json", data_files=args.data, split="train") if args.data
            else Dataset.from_list(made_pairs(args.seed)))
    if args.model:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        model = AutoModelForSeq2SeqLM.from_pretrained(args.model)
    else:
        tokenizer = train_tokenizer([*rows["source"], *rows["target"]], single="$A [SEP]")
        model = BartForConditionalGeneration(BartConfig(
            vocab_size=len(tokenizer), d_model=64, encoder_layers=2, decoder_layers=2,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128,
            decoder_ffn_dim=128, max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.eos_token_id, forced_eos_token_id=None))

    def preprocess(batch: dict[str, list[str]]) -> Any:
        return tokenizer(batch["source"], text_target=batch["target"], max_length=128,
                         truncation=True)

    def compute_metrics(prediction: Any) -> dict[str, float]:
        pad = tokenizer.pad_token_id
        written, wanted = (
            tokenizer.batch_decode(np.where(ids == -100, pad, ids), skip_special_tokens=True)
            for ids in (prediction.predictions, prediction.label_ids))
        return {"exact": float(np.mean([a == b for a, b in zip(written, wanted, strict=True)]))}

    parts = rows.train_test_split(test_size=0.2, seed=args.seed)
    tokens = parts.map(preprocess, batched=True, remove_columns=rows.column_names)
    folder = args.output or tempfile.mkdtemp(prefix="translation-")
    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir=folder, num_train_epochs=args.epochs, learning_rate=args.lr,
            per_device_train_batch_size=16, per_device_eval_batch_size=64, save_strategy="no",
            predict_with_generate=True, generation_max_length=32, logging_steps=40,
            warmup_ratio=0.1, label_smoothing_factor=0.1, seed=args.seed, report_to="none"),
        train_dataset=tokens["train"],
        eval_dataset=tokens["test"],
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    trainer.train()
    output = trainer.predict(tokens["test"])
    print(f"Written word for word as wanted: {output.metrics['test_exact']:.1%} of "
          f"{len(parts['test'])} held-out sentences")
    ids = np.where(output.predictions == -100, tokenizer.pad_token_id, output.predictions)
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    for row, text in zip(parts["test"], texts[:3], strict=False):
        print(f"  {row['source']}  ->  {text}")
    trainer.save_model(folder)


def made_pairs(seed: int) -> list[dict[str, str]]:
    """All 256 sentences of the words above, shuffled."""
    made = [{"source": f"{who} {does} a {kind} {thing}",
             "target": f"{WHO[who]} {DOES[does]} {THING[thing]} {KIND[kind]}"}
            for who, does, kind, thing in itertools.product(WHO, DOES, KIND, THING)]
    random.Random(seed).shuffle(made)
    return made


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a repository of the Hub")
    parser.add_argument("--data", help="a file of JSON lines with source and target")
    parser.add_argument("--epochs", type=float, default=15)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
