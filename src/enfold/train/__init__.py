"""Training: Trainer, arguments, callbacks, optimizers, schedules, checkpoints, parallelism."""
