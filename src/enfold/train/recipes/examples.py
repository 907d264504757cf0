"""Recipes to begin with: one for each task, with comments."""

from __future__ import annotations

from enfold.errors import ConfigError, nearest

DATA = {
    "text-classification": """\
  text: text                      # the columns of the file
  label: label                    # names, whole numbers, or decimal numbers (regression)
  # text_pair: other_text         # for pairs of texts
""",
    "token-classification": """\
  tokens: tokens                  # a list of words in each row
  tags: tags                      # a list of as many labels: names or numbers
""",
    "question-answering": """\
  question: question              # the columns of the file
  context: context
  answers: answers                # {"text": ["..."], "answer_start": [17]}, as in SQuAD
  # doc_stride: 128               # tokens that neighbouring windows of a long context share
""",
    "causal-lm": """\
  text: text                      # a column of whole texts; or two, to learn completions only:
  # prompt: prompt
  # completion: completion
""",
    "masked-lm": """\
  text: text
  mlm_probability: 0.15           # the chance of a token to be hidden
""",
    "seq2seq": """\
  source: source                  # the columns of the file
  target: target
  prefix: ""                      # put before each source, such as "summarize: "
  # max_target_length: 128
""",
}
MODELS = {
    "text-classification": ("bert-base-uncased", "csv", "csv"),
    "token-classification": ("bert-base-cased", "json", "jsonl"),
    "question-answering": ("bert-base-uncased", "json", "jsonl"),
    "causal-lm": ("gpt2", "json", "jsonl"), "masked-lm": ("bert-base-uncased", "csv", "csv"),
    "seq2seq": ("t5-small", "csv", "csv"),
}
EXAMPLE = """\
# enfold train recipe.yaml            trains; first with --dry-run: loads, prints the plan, stops
task: {task}
model: {model}   # a folder or a repository; or keys: name, revision, dtype, ...

data:                             # arguments of load_dataset, and:
  path: {format}
  data_files:                     # relative to where the command is run
    train: train.{ending}
    validation: validation.{ending}
{columns}\
  # max_length: 256               # tokens of a row (default: the most the model takes)
  # train_split: train
  # eval_split: validation        # or the share of the training rows to hold out, such as 0.1

adapter:                          # or none: train every weight
  method: lora
  r: 8                            # any argument of LoraConfig
  lora_alpha: 16
  lora_dropout: 0.05
  merge: {merge:<5}                    # true: save one whole model, with the names of labels;
                                  # false: the adapter alone

training:                         # any argument of {arguments}
  num_train_epochs: 3
  per_device_train_batch_size: 16
  learning_rate: 2e-4             # for every weight (adapter: none) 2e-5 is usual
  lr_scheduler_type: linear
  warmup_steps: 0.1               # below 1: a share of all steps
  eval_strategy: epoch
  save_strategy: epoch
  save_total_limit: 1
  logging_steps: 10
  report_to: none
  seed: 42

output: my-{task}      # checkpoints, and at the end the model
"""


def example(task: str) -> str:
    """A recipe for a task, as YAML with comments."""
    if task not in DATA:
        raise ConfigError(f"there is no task {task!r}{nearest(task, DATA)}, expected one of "
                          f"{', '.join(DATA)}")
    model, form, ending = MODELS[task]
    kind = "Seq2SeqTrainingArguments" if task == "seq2seq" else "TrainingArguments"
    merge = "true" if task.endswith("classification") else "false"
    return EXAMPLE.format(task=task, model=model, format=form, ending=ending,
                          columns=DATA[task], arguments=kind, merge=merge)
