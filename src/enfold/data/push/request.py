"""What was asked of push_to_hub, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enfold.data.sources.patterns import SPLIT_NAME
from enfold.errors import DataError, FileMissing
from enfold.files import env

_BUCKETS = "buckets/"


@dataclass
class Request:
    """One push.  splits: datasets by name.  whole: whether they are all that is to be there."""

    repo_id: str
    splits: Mapping[str, Any]
    whole: bool
    config_name: str = "default"
    set_default: bool | None = None
    data_dir: str | None = None
    commit_message: str | None = None
    commit_description: str | None = None
    private: bool | None = None
    token: str | bool | None = None
    revision: str | None = None
    create_pr: bool = False
    max_shard_size: int | str | None = None
    num_shards: Mapping[str, int | None] | None = None
    embed_external_files: bool = True
    num_proc: int | None = None

    def __post_init__(self) -> None:
        counts = self.num_shards
        if counts is not None and not isinstance(counts, Mapping):
            raise DataError(f"push_to_hub: got num_shards={counts!r}. Please provide one "
                            "`num_shards` per dataset in the dataset dictionary, e.g. {'train': "
                            "128, 'test': 4}")
        self.num_shards = counts = dict(counts or {})
        if self.max_shard_size is not None and any(n is not None for n in counts.values()):
            raise DataError("Failed to push_to_hub: please specify either max_shard_size or "
                            "num_shards, but not both.")
        if self.config_name == "data":
            raise DataError("push_to_hub: `config_name` cannot be 'data', which is where the "
                            "default configuration is. Please, choose another name for "
                            "configuration.")
        for split in self.splits:
            if not SPLIT_NAME.fullmatch(str(split)):
                raise DataError(f"push_to_hub: Split name should match '{SPLIT_NAME.pattern}' but "
                                f"got '{split}'.")
        self.data_dir = self.folder
        self.commit_message = self.commit_message or "Upload dataset"
        if setting := env.offline():
            raise FileMissing(f"push_to_hub: can't upload to {self.repo_id}: {setting} forbids the "
                              "network. Do: unset it for this")

    @property
    def folder(self) -> str:
        """Where the shards go."""
        named = self.config_name if self.config_name != "default" else "data"
        return (self.data_dir or named).strip("/")

    @property
    def bucket(self) -> tuple[str, str] | None:
        """(bucket, path in it) of "buckets/org/name/path"; None for a repository."""
        if not self.repo_id.startswith(_BUCKETS):
            return None
        owner, name, *path = self.repo_id.removeprefix(_BUCKETS).split("/")
        return f"{owner}/{name}", "/".join(part for part in path if part)
