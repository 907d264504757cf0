"""The vocabulary in a GGUF file, read and written."""

from enfold.text.gguf.read import read_tokenizer
from enfold.text.gguf.write import tokenizer_metadata

__all__ = ["read_tokenizer", "tokenizer_metadata"]
