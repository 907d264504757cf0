"""The vocabulary in a GGUF file, read and written."""

from enfold.text.gguf.read import read_tokenizer

__all__ = ["read_tokenizer"]
