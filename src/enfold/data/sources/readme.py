"""What a data set's README.md says in its YAML head about configurations and their files.

    ---
    configs:
    - config_name: default
      data_files:
      - {split: train, path: "data/train-*"}
    - config_name: small
      data_dir: small
      default: true
    ---
"""

from __future__ import annotations

from typing import Any

from enfold.data.sources.patterns import SPLIT_NAME
from enfold.errors import DataError, DataFileError
from enfold.lazy import require

FORMS = """Expected in YAML one of:
    data_files: data.csv
    data_files: [part0/*, part1/*]
    data_files:
    - {split: train, path: train/*}
    - {split: test, path: [test/a/*, test/b/*]}"""


def split_head(text: str) -> tuple[str | None, str]:
    """The YAML between the first two lines `---` (None without them) and the text after it."""
    lines = text.splitlines()
    if lines[:1] == ["---"] and "---" in lines[1:]:
        end = lines.index("---", 1)
        return "\n".join(lines[1:end]), "\n".join(lines[end + 1:])
    return None, "\n".join(lines)


def metadata(text: str, name: str = "README.md") -> dict[str, Any]:
    """The YAML head of a README's text as a dict.  Raises DataFileError for a broken one."""
    head, _ = split_head(text)
    yaml = require("yaml")
    try:
        found = yaml.safe_load(head) if head else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 2}" if mark else ""
        raise DataFileError(f"{name}{line}: its head is not YAML: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise DataFileError(f"{name}: its YAML head is a {type(found).__name__}. "
                            f"Expected a mapping")
    return found or {}


def configs(meta: dict[str, Any], name: str = "README.md") -> dict[str, dict[str, Any]]:
    """{config_name: its parameters} of a head: data_files, data_dir, default, drop_labels, ...

    Raises DataFileError for what is not in that form.
    """
    entries = meta.get("configs") or []
    if not isinstance(entries, list):
        raise DataFileError(f"{name}: `configs` is {entries!r}. Expected a list")
    for entry in entries:
        if not isinstance(entry, dict) or "config_name" not in entry:
            raise DataFileError(f"{name}: an entry of `configs` is {entry!r}. Expected a mapping "
                                f"with `config_name`")
        _check_files(entry.get("data_files"), f"{name}, config {entry['config_name']!r}")
    return {entry["config_name"]: {key: value for key, value in entry.items()
                                   if key != "config_name"} for entry in entries}


def default_config(configs: dict[str, dict[str, Any]]) -> str | None:
    """The configuration that is meant where none is named: the only one, "default", or the one
    that says so.  Raises DataError for several."""
    found = [name for name, entry in configs.items()
             if len(configs) == 1 or name == "default" or entry.get("default")]
    if len(found) > 1:
        raise DataError(f"Dataset has several default configs: {found}. Expected one with "
                        f"`default: true`")
    return found[0] if found else None


def _check_files(files: Any, where: str) -> None:
    if files is None or isinstance(files, str):
        return
    entries = files if isinstance(files, list) else [None]
    if not all(isinstance(one, str) or _is_entry(one) for one in entries):
        raise DataFileError(f"{where}: `data_files` is {files!r}. {FORMS}")


def _is_entry(one: Any) -> bool:
    return (isinstance(one, dict) and one.keys() == {"split", "path"}
            and isinstance(one["path"], str | list) and isinstance(one["split"], str)
            and SPLIT_NAME.fullmatch(one["split"]) is not None)
