"""Callbacks: the events of a run, what decides in it, what it shows, where it is reported."""

from enfold.train.callbacks.callback import EVENTS, CallbackHandler, TrainerCallback
from enfold.train.callbacks.flow import DefaultFlowCallback, EarlyStoppingCallback
from enfold.train.callbacks.progress import PrinterCallback, ProgressCallback
from enfold.train.callbacks.reporters import get_reporting_integration_callbacks
from enfold.train.callbacks.state import ExportableState, TrainerControl, TrainerState

__all__ = [
    "EVENTS",
    "CallbackHandler",
    "DefaultFlowCallback",
    "EarlyStoppingCallback",
    "ExportableState",
    "PrinterCallback",
    "ProgressCallback",
    "TrainerCallback",
    "TrainerControl",
    "TrainerState",
    "get_reporting_integration_callbacks",
]
