"""Trainer, Seq2SeqTrainer, and what they give."""

from enfold.train.trainer.outputs import (
    BestRun,
    EvalLoopOutput,
    EvalPrediction,
    PredictionOutput,
    TrainOutput,
    speed_metrics,
)
from enfold.train.trainer.seq2seq import Seq2SeqTrainer
from enfold.train.trainer.steps import LabelSmoother
from enfold.train.trainer.trainer import Trainer

__all__ = ["BestRun", "EvalLoopOutput", "EvalPrediction", "LabelSmoother", "PredictionOutput",
           "Seq2SeqTrainer", "TrainOutput", "Trainer", "speed_metrics"]
