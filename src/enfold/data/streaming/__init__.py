"""Streaming: datasets that are read row by row, in parts, and resumed anywhere."""

from enfold.data.streaming.base import FormattingConfig
from enfold.data.streaming.dataset import IterableDataset
from enfold.data.streaming.node import OrderFixed
from enfold.data.streaming.workers import DistributedConfig

__all__ = ["DistributedConfig", "FormattingConfig", "IterableDataset", "OrderFixed"]
