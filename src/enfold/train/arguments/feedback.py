"""Arguments of what is told and kept: logging, evaluation, checkpoints, the Hub."""

# ruff: noqa: RUF009 - `arg` is dataclasses.field with a line of help
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from enfold.train.arguments.field import arg
from enfold.train.arguments.learning import LearningFields
from enfold.train.arguments.names import HubStrategy, IntervalStrategy, SaveStrategy

LOG_LEVELS = {
    "detail": 10, "debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50,
    "passive": -1,
}  # fmt: skip


@dataclass
class FeedbackFields(LearningFields):
    """The second group of TrainingArguments."""

    logging_strategy: IntervalStrategy | str = arg("steps", "When to log: no, steps, epoch.")
    logging_steps: float = arg(500, "Steps between logs; below 1, a fraction of all steps.")
    logging_first_step: bool = arg(False, "Log the first step too.")
    logging_dir: str | None = arg(
        None, "The folder of TensorBoard's logs (default: output_dir/runs/DATE_HOST)."
    )
    logging_nan_inf_filter: bool = arg(True, "Leave losses that are NaN or inf out of averages.")
    log_on_each_node: bool = arg(True, "Log once on each machine, not on the first only.")
    log_level: str = arg("passive", "Level of messages of the main process.", choices=[*LOG_LEVELS])
    log_level_replica: str = arg("warning", "The others' level.", choices=[*LOG_LEVELS])
    include_num_input_tokens_seen: str | bool = arg(
        "no", "Count the tokens trained on: all, non_padding or no."
    )
    include_tokens_per_second: bool = arg(False, "Report tokens per second at the end.")
    disable_tqdm: bool | None = arg(None, "No progress bar (default: when logs show errors only).")
    report_to: str | list[str] | None = arg(
        None,
        "Where logs go: tensorboard, wandb, mlflow, csv, json, all or none"
        " (default: tensorboard if installed).",
    )
    run_name: str | None = arg(None, "The run's name in those logs.")
    project: str = arg("huggingface", "The run's project in Trackio.")
    trackio_space_id: str | None = arg(None, "Trackio's Space.")
    trackio_bucket_id: str | None = arg(None, "Trackio's bucket.")
    trackio_static_space_id: str | Literal[False] | None = arg(None, "Trackio's static Space.")

    eval_strategy: IntervalStrategy | str = arg("no", "When to evaluate: no, steps, epoch.")
    eval_steps: float | None = arg(None, "Steps between evaluations (default: logging_steps).")
    eval_delay: float = arg(0, "Epochs or steps before the first evaluation.")
    eval_on_start: bool = arg(False, "Evaluate once before training.")
    per_device_eval_batch_size: int = arg(8, "Examples on each device in an evaluation batch.")
    eval_accumulation_steps: int | None = arg(
        None, "Batches whose outputs stay on the device before they move to memory."
    )
    eval_do_concat_batches: bool = arg(True, "Join the outputs of batches, or give a list of them.")
    eval_use_gather_object: bool = arg(False, "Gather outputs that are not tensors.")
    batch_eval_metrics: bool = arg(False, "Call compute_metrics on each batch, then for a result.")
    prediction_loss_only: bool = arg(False, "Keep the loss only, no outputs.")
    include_for_metrics: list[str] = arg([], "What compute_metrics also gets: inputs, loss.")
    label_names: list[str] | None = arg(None, "The inputs that are labels (default: the model's).")
    load_best_model_at_end: bool = arg(False, "After training, go back to the best checkpoint.")
    metric_for_best_model: str | None = arg(None, "The metric it is best by (default: loss).")
    greater_is_better: bool | None = arg(None, "Whether more of it is better (default: by name).")

    save_strategy: SaveStrategy | str = arg("steps", "When to save: no, steps, epoch, best.")
    save_steps: float = arg(500, "Steps between saves; below 1, a fraction of all steps.")
    save_total_limit: int | None = arg(None, "Checkpoints to keep; the best and last always stay.")
    save_only_model: bool = arg(False, "Leave out optimizer and random state: no resuming.")
    save_safetensors: bool = arg(True, "Save weights as safetensors, not as a pickle.")
    save_on_each_node: bool = arg(False, "Save on each machine, not on the first only.")
    enable_jit_checkpoint: bool = arg(False, "Save when the process is asked to end (SIGTERM).")
    restore_callback_states_from_checkpoint: bool = arg(
        False, "On resuming, give callbacks the state they had."
    )

    push_to_hub: bool = arg(False, "Upload the model whenever it is saved.")
    hub_model_id: str | None = arg(None, "The repository (default: the name of output_dir).")
    hub_strategy: HubStrategy | str = arg("every_save", "What is uploaded, and when.")
    hub_token: str | None = arg(
        None, "The token to upload with (default: the one logged in).", shown=False
    )
    hub_private_repo: bool | None = arg(None, "Make a new repository private.")
    hub_always_push: bool = arg(False, "Upload though the last upload is still running.")
    hub_revision: str | None = arg(None, "The branch to upload to.")
