"""GGUF, llama.cpp's file format: one file with weights, configuration and vocabulary."""

from enfold.files.gguf.file import GGUFFile, open_shards
from enfold.files.gguf.kinds import BY_NAME, KINDS, Kind
from enfold.files.gguf.locate import gguf_path
from enfold.files.gguf.write import Typed, write_gguf

__all__ = ["BY_NAME", "KINDS", "GGUFFile", "Kind", "Typed", "gguf_path", "open_shards",
           "write_gguf"]
