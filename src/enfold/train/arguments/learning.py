"""Arguments of what is learnt and how: steps, learning rate, optimizer, precision, memory."""

# ruff: noqa: RUF009 - `arg` is dataclasses.field with a line of help
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enfold.train.arguments.field import arg
from enfold.train.arguments.names import OptimizerNames, SchedulerType


@dataclass
class LearningFields:
    """The first group of TrainingArguments."""

    output_dir: str | None = arg(None, "The folder for checkpoints (default: trainer_output).")
    overwrite_output_dir: bool = arg(False, "For scripts: use output_dir though it is not empty.")
    do_train: bool = arg(False, "For scripts: run training.")
    do_eval: bool = arg(False, "For scripts: run evaluation.")
    do_predict: bool = arg(False, "For scripts: run predictions on the test set.")
    resume_from_checkpoint: str | None = arg(None, "For scripts: a checkpoint to continue from.")

    per_device_train_batch_size: int = arg(8, "Examples on each device in a training batch.")
    num_train_epochs: float = arg(3.0, "Passes over the training data; may be a fraction.")
    max_steps: int = arg(-1, "If positive, optimizer steps to make, whatever num_train_epochs is.")
    gradient_accumulation_steps: int = arg(1, "Batches to one optimizer step.")
    average_tokens_across_devices: bool = arg(
        True, "Divide the loss by the tokens of all devices, so that it is one batch's loss."
    )

    learning_rate: float = arg(5e-5, "The learning rate after warmup.")
    lr_scheduler_type: SchedulerType | str = arg("linear", "The curve of the learning rate.")
    lr_scheduler_kwargs: dict[str, Any] | str | None = arg(
        None, "Settings of that curve, as '{\"num_cycles\": 2}'."
    )
    warmup_steps: float = arg(0, "Steps of linear warmup; below 1, a fraction of all steps.")

    optim: OptimizerNames | str = arg("adamw_torch_fused", "The optimizer.")
    optim_args: str | None = arg(None, "Its further settings, as 'momentum=0.9,nesterov=true'.")
    optim_target_modules: str | list[str] | None = arg(None, "Modules for GaLore and APOLLO.")
    weight_decay: float = arg(0.0, "Decay of weights; biases and norms are left out.")
    adam_beta1: float = arg(0.9, "Decay of the average of gradients.")
    adam_beta2: float = arg(0.999, "Decay of the average of squared gradients.")
    adam_epsilon: float = arg(1e-8, "Added to Adam's denominator.")
    max_grad_norm: float = arg(1.0, "Clip the gradient to this norm; 0: never.")
    label_smoothing_factor: float = arg(0.0, "Share of the probability spread over all labels.")
    neftune_noise_alpha: float | None = arg(None, "Size of NEFTune's noise on embeddings.")

    bf16: bool = arg(False, "Compute in bfloat16, with fp32 master weights.")
    fp16: bool = arg(False, "Compute in float16 with a loss scaler, with fp32 master weights.")
    bf16_full_eval: bool = arg(False, "Evaluate with weights cast to bfloat16.")
    fp16_full_eval: bool = arg(False, "Evaluate with weights cast to float16.")
    tf32: bool | None = arg(None, "Allow TF32 products on a GPU; default: as torch is set.")

    activation_checkpointing: bool | None = arg(
        None, "Recompute activations in the backward pass: less memory.", nargs="?", const=True
    )
    activation_checkpointing_kwargs: dict[str, Any] | str | None = arg(
        None, "Settings of torch.utils.checkpoint, as '{\"use_reentrant\": false}'."
    )
    use_cache: bool = arg(False, "Let the model return its key-value cache while training.")
    torch_empty_cache_steps: int | None = arg(None, "Empty the GPU's memory cache every N steps.")
    auto_find_batch_size: bool = arg(False, "Halve the batch when memory runs out.")
    torch_compile: bool = arg(False, "Compile the model with torch.compile.")
    torch_compile_backend: str | None = arg(None, "Its backend; turns torch_compile on.")
    torch_compile_mode: str | None = arg(None, "Its mode; turns torch_compile on.")
    use_liger_kernel: bool = arg(False, "Use the kernels of the liger package.")
    liger_kernel_config: dict[str, bool] | None = arg(None, "Which of the liger kernels.")

    seed: int = arg(42, "Seed of weights, dropout and, without data_seed, of the data order.")
    data_seed: int | None = arg(None, "Seed of the data order.")
    full_determinism: bool = arg(False, "Only deterministic kernels, at some cost in speed.")
