"""GGUF's names for configurations and tensors: a dialect for each of its architectures."""

from enfold.models.gguf.checkpoint import open_gguf
from enfold.models.gguf.config import config_values

__all__ = ["config_values", "open_gguf"]
