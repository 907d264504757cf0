"""The normalisation table of a SentencePiece model, checked: the engine runs it without bounds.

    bytes in the trie (4) | trie, a double array of 32-bit units | replacements, each ends in NUL
    unit: bit 31 it is a value (where a replacement starts), 10-30 and 9 step, 8 a value is below

Format: https://github.com/s-yata/darts-clone, Builder::DecodePrecompiledCharsMap of sentencepiece
"""

from __future__ import annotations

import struct

VALUE, BELOW, WIDE = 1 << 31, 1 << 8, 1 << 9


def fault(table: bytes) -> str | None:
    """What is wrong with a table, or None: each step in the trie and each value must be inside."""
    size = int.from_bytes(table[:4], "little")
    if size % 1024 or not 0 < size < len(table) - 4:
        return "it is cut off"
    units = struct.unpack(f"<{size // 4}I", table[4:4 + size])
    texts = table[4 + size:]
    try:
        texts.decode()
    except UnicodeDecodeError:
        return "its replacements are not UTF-8"
    if texts[-1]:
        return "its last replacement has no end"
    for place, unit in enumerate(units):
        if unit & VALUE:
            continue
        step = place ^ (unit >> 10 << ((unit & WIDE) >> 6))
        if (step | 255) >= len(units):
            return f"unit {place} points outside"
        value = units[step] & ~VALUE
        if unit & BELOW and (value >= len(texts) or texts[value] & 0xC0 == 0x80):
            return f"unit {place} has a value outside"
    return None
