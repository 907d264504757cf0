"""YAML as people mean it: 2e-5 is a number, and a key stands once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enfold.errors import ConfigError, EnfoldError, FileMissing
from enfold.files.jsons import read_json
from enfold.lazy import require

FLOAT = re.compile(r"[-+]?([0-9][0-9_]*)(\.[0-9_]*)?[eE][-+]?[0-9]+$")


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a .json, .yaml or .yml file holds; ConfigError says what is wrong where."""
    if not path.is_file():
        raise FileMissing(f"{path}: there is no such file. Do: check the path, or print one to "
                          "begin with: enfold train --example text-classification")
    if path.suffix == ".json":
        values: Any = read_json(path)
    else:
        yaml = require("yaml", "train")
        try:
            values = yaml.load(path.read_text("utf-8"), Loader=_loader(yaml))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, expected keys and values. Do: "
                          "print one to begin with: enfold train --example text-classification")
    return values


@contextmanager
def blamed(where: str) -> Iterator[None]:
    """Have errors of wrong settings name the file and the section."""
    try:
        yield
    except (EnfoldError, NotImplementedError) as error:
        error.args = (f"{where}: {error}", *error.args[1:])
        raise


def _loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]
        """The safe loader with YAML 1.2's numbers; a second value for a key is an error."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[Any] = set()
            for key, _ in node.value:
                if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands here twice", key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))
    return Loader
