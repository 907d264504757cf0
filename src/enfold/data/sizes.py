"""Sizes in bytes as people write and read them: "500MB", "1.50 GiB"."""

from __future__ import annotations

from enfold.errors import DataError
from enfold.files.shards import parse_size


def convert_file_size_to_int(size: int | str) -> int:
    """Bytes of "50MB" (10**6 each), "1GiB" (2**30 each) or a number.  Raises DataError."""
    if isinstance(size, int):
        return size
    try:
        return parse_size(size)
    except ValueError as error:
        raise DataError(f"`size={size}` is not in a valid format. Use an integer followed by the "
                        f"unit, e.g., '5GB'.") from error


def size_str(size_in_bytes: float | None) -> str:
    """`1.50 GiB` for a number of bytes; "Unknown size" for None and 0."""
    if not size_in_bytes:
        return "Unknown size"
    for power, name in ((5, "PiB"), (4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size_in_bytes >= 1024 ** power:
            return f"{size_in_bytes / 1024 ** power:.2f} {name}"
    return f"{int(size_in_bytes)} bytes"
