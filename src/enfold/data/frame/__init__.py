"""Frames: columns of one length, in memory or in mapped files, each behind its row numbers."""

from enfold.data.frame.files import open_file, open_stream, read_memory, write
from enfold.data.frame.frame import Column, Frame
from enfold.data.frame.gather import gather

__all__ = ["Column", "Frame", "gather", "open_file", "open_stream", "read_memory", "write"]
