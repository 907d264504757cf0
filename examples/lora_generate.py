"""Teach a causal language model to answer with LoRA, then let it generate the held-out answers.

    python examples/lora_generate.py
    python examples/lora_generate.py --model Qwen/Qwen2.5-0.5B --data pairs.jsonl --lr 2e-4

Each row has "prompt" and "completion"; only the completion is learnt.  Without --model a small
Llama starts from random weights, so its embeddings and head are trained beside the adapter;
without --data the prompts ask to count from one number to another.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from start import train_tokenizer

from enfold import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Dataset,
    LlamaConfig,
    LlamaForCausalLM,
    LoraConfig,
    PeftModel,
    TaskType,
    Trainer,
    TrainingArguments,
    get_peft_model,
    load_dataset,
    set_seed,
)


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    rows = (load_dataset("json", data_files=args.data, split="train") if args.data
            else Dataset.from_list(made_pairs()))
    parts = rows.train_test_split(test_size=0.1, seed=args.seed)
    if args.model:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(args.model)
    else:
        tokenizer = train_tokenizer([*rows["prompt"], *rows["completion"]], single="$A")
        model = LlamaForCausalLM(LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=128, max_position_embeddings=128,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id))

    def tokenize(row: dict[str, str]) -> dict[str, Any]:
        asked = tokenizer(row["prompt"])["input_ids"]
        answer = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
        answer = [*answer, tokenizer.eos_token_id]
        return {"input_ids": asked + answer, "attention_mask": [1] * len(asked + answer),
                "labels": [-100] * len(asked) + answer}

    base = tempfile.mkdtemp(prefix="base-")
    model.save_pretrained(base)
    model = get_peft_model(model, LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=16, lora_alpha=32, lora_dropout=0.0,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"] if args.model else "all-linear",
        modules_to_save=None if args.model else ["embed_tokens", "lm_head"]))
    model.print_trainable_parameters()
    folder = args.output or tempfile.mkdtemp(prefix="lora-")
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder, num_train_epochs=args.epochs, learning_rate=args.lr,
            per_device_train_batch_size=16, gradient_accumulation_steps=1, warmup_ratio=0.1,
            lr_scheduler_type="cosine", logging_steps=50, save_strategy="no", seed=args.seed,
            report_to="none"),
        train_dataset=parts["train"].map(tokenize, remove_columns=rows.column_names),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model(folder)

    base_model = AutoModelForCausalLM.from_pretrained(args.model or base)
    model = PeftModel.from_pretrained(base_model, folder).merge_and_unload().eval()
    written = answers(model, tokenizer, parts["test"]["prompt"][:])
    right = sum(a.strip() == b.strip()
                for a, b in zip(written, parts["test"]["completion"], strict=True))
    print(f"Generated word for word as wanted: {right} of {len(written)} held-out answers")
    for prompt, answer in zip(parts["test"]["prompt"][:4], written, strict=False):
        print(f"  {prompt} {answer}")
    print(f"The adapter is in {folder}")


def answers(model: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    """The greedy continuation of every prompt, in one batch padded on the left."""
    tokenizer.padding_side = "left"
    batch = tokenizer(prompts, padding=True, return_tensors="pt").to(model.device)
    output = model.generate(**batch, max_new_tokens=24, do_sample=False,
                            pad_token_id=tokenizer.pad_token_id)
    return tokenizer.batch_decode(output[:, batch["input_ids"].shape[1]:],
                                  skip_special_tokens=True)


def made_pairs() -> list[dict[str, str]]:
    """Every way to count upwards by one to eight steps below fifty."""
    return [{"prompt": f"count from {first} to {last} :",
             "completion": " ".join(map(str, range(first, last + 1)))}
            for first in range(50) for last in range(first + 1, min(first + 9, 50))]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder or a repository of the Hub")
    parser.add_argument("--data", help="a file of JSON lines with prompt and completion")
    parser.add_argument("--epochs", type=float, default=15)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="where to save; by default a new temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
