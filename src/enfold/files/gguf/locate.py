"""Which GGUF file is meant by a name and `gguf_file=`."""

from __future__ import annotations

import os
from pathlib import Path

from enfold.files.hub import HubOptions, find

PathLike = str | os.PathLike[str]


def gguf_path(name: PathLike, gguf_file: PathLike | None, options: HubOptions) -> Path | None:
    """`gguf_file` of a folder or repository (or a path of its own), or `name` if it is such a file;
    None where neither is.
    """
    if gguf_file is None:
        own = isinstance(name, (str, os.PathLike)) and str(name).endswith(".gguf")
        return Path(name) if own and Path(name).is_file() else None
    if Path(gguf_file).is_file():
        return Path(gguf_file)
    return find(name, os.fspath(gguf_file), options)
