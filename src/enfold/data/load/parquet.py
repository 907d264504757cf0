"""The Hub's conversion of a repository to Parquet: `<config>/<split>/0000.parquet`.

Of large datasets only a part is converted: `<config>/partial-<split>/0000.parquet`.
"""

from __future__ import annotations

from logging import getLogger

from enfold.data.info import MetadataConfigs
from enfold.data.load.errors import DatasetNotFoundError
from enfold.data.load.hub import Repository

_log = getLogger(__name__)
_PARTIAL = "partial-"


def exported_configs(repo: Repository) -> MetadataConfigs:
    """The configurations and their files, in a repository at that ref.

    Raises DatasetNotFoundError where there are none.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for file in sorted(repo.files):
        parts = file.split("/")
        if len(parts) == 3 and file.endswith(".parquet"):
            found.setdefault(parts[0], {}).setdefault(parts[1], []).append(file)
    if not found:
        raise DatasetNotFoundError(f"{repo.name} has no files converted to Parquet")
    partial = sorted({f"{name}/{split}" for name, splits in found.items() for split in splits
                      if split.startswith(_PARTIAL)})
    if partial:
        _log.warning("Of %s the Hub has converted only the first part of %s", repo.name, partial)
    return MetadataConfigs({name: {"data_files": [
        {"split": split.removeprefix(_PARTIAL), "path": files}
        for split, files in splits.items()]} for name, splits in found.items()})
