"""One fine-tuning run in a process of its own, as a script would have it: prints its numbers.

    python _finetune.py LIBRARY TASK STEPS

LIBRARY: "theirs" (transformers' Trainer, peft) or "enfold".  TASK: see `TASKS`.  The script is the
same but for the import lines.
"""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

BEGUN = time.time()
sys.path.insert(0, str(Path(__file__).parent))
LIBRARY, TASK, STEPS = sys.argv[1], sys.argv[2], int(sys.argv[3])

if LIBRARY == "theirs":
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
else:
    from enfold import (  # type: ignore[assignment]
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        DataCollatorWithPadding,
        LoraConfig,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        get_peft_model,
    )

from _machine import clock, memory  # noqa: E402
from _models import checkpoint, minilm, sentences  # noqa: E402

WARM = 2  # steps that are not counted: threads, caches and pools start in them


class Marks(TrainerCallback):  # type: ignore[misc, valid-type]
    """When steps began and ended."""

    def __init__(self):
        self.first, self.begun, self.times = 0.0, 0.0, []

    def on_step_begin(self, args, state, control, **kwargs):
        self.first = self.first or (clock() if clock is time.process_time else time.time() - BEGUN)
        self.begun = clock()

    def on_step_end(self, args, state, control, **kwargs):
        self.times.append(clock() - self.begun)


def classify(kind):
    """MiniLM with a new head, all weights trained; texts of 5 to 60 words, batches of 16."""
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    model = AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=4)
    texts = sentences(16 * STEPS)
    rows = [dict(tokenizer(text), labels=number % 4) for number, text in enumerate(texts)]
    return model, rows, 16, DataCollatorWithPadding(tokenizer)


def lora(kind):
    """LoRA r=8 on q and v of a Llama of 250M, texts of 20 to 200 tokens, batches of 4."""
    import torch

    name = "tiny-llama" if kind == "quick" else "llama-250m"
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(checkpoint(name), dtype=dtype)
    model = get_peft_model(model, LoraConfig(r=8, target_modules=["q_proj", "v_proj"],
                                             task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    top = 256 if kind == "quick" else 32000
    ids = [torch.randint(3, top, (int(size),)).tolist()
           for size in torch.randint(20, 201, (4 * STEPS,))]
    rows = [{"input_ids": text, "attention_mask": [1] * len(text), "labels": text} for text in ids]
    tokenizer = AutoTokenizer.from_pretrained(minilm())  # it only pads
    return model, rows, 4, DataCollatorForSeq2Seq(tokenizer)


TASKS = {"minilm": (classify, "fp32"), "lora-fp32": (lora, "fp32"), "lora-bf16": (lora, "bf16"),
         "lora-quick": (lora, "quick")}


def main():
    make, kind = TASKS[TASK]
    model, rows, batch, collate = make(kind)
    marks = Marks()
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=batch, max_steps=STEPS,
            learning_rate=1e-4, report_to="none", save_strategy="no", logging_strategy="no",
            disable_tqdm=True, use_cpu=True, seed=0, train_sampling_strategy="sequential")
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate,
                          callbacks=[marks])
        loss = trainer.train().training_loss
    counted = rows[batch * WARM:batch * STEPS]
    seconds = sum(marks.times[WARM:])
    print("\n" + json.dumps({
        "tokens/s": sum(len(row["input_ids"]) for row in counted) / seconds, "loss": loss,
        "seconds": seconds, "first": marks.first, "peak": memory()["peak"]}))


if __name__ == "__main__":
    main()
