"""Runs snippets and prints what they leave in `result`, under transformers or enfold.

    python reference.py LIBRARY FOLDER NAMES.json [DATA]     DATA: make the checkpoints first
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.acceptance.snippets import SNIPPETS


def run(code: str, library: str) -> Any:
    """What a snippet, written for transformers, leaves in `result`, as JSON can hold it."""
    scope: dict[str, Any] = {}
    exec(compile(code.replace("from transformers import", f"from {library} import"), "snippet",
                 "exec"), scope)
    return plain(scope["result"])


def plain(value: Any) -> Any:
    """Tensors, arrays and tuples as lists; keys as strings."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def main(library: str, folder: str, names: str, data: str = "") -> None:
    warnings.simplefilter("ignore")
    if data:
        from tests.acceptance.checkpoints import build

        build(Path(folder), Path(data))
    os.chdir(folder)
    answers = {name: run(SNIPPETS[name].code, library) for name in json.loads(names)}
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
