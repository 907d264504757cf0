"""`push_to_hub` of datasets and of dicts of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.errors import DataError


class PushedDataset:
    """A dataset that can be pushed."""

    def push_to_hub(self, repo_id: str, config_name: str = "default",
                    set_default: bool | None = None, split: str | None = None,
                    data_dir: str | None = None, commit_message: str | None = None,
                    commit_description: str | None = None, private: bool | None = None,
                    token: str | bool | None = None, revision: str | None = None,
                    create_pr: bool = False, max_shard_size: int | str | None = None,
                    num_shards: int | None = None, embed_external_files: bool = True,
                    num_proc: int | None = None) -> Any:
        """Upload as Parquet files to a dataset repository, which `load_dataset(repo_id)` reads.

        repo_id: "user/name", or "name" for one's own, created if need be (private: whether it is to
            be private); or "buckets/user/bucket/path".
        config_name: the configuration; set_default: have it be the one meant where none is named.
        split: its name there (default: its own, else "train").  data_dir: the folder for the files
            (default: "data", or the configuration's name).
        revision: a branch, created if need be.  create_pr: propose the change instead.
        max_shard_size: of the files, uncompressed (default "500MB"), or num_shards of them.
        embed_external_files: put files that columns name (images, audio, ..) into the data.
        num_proc: processes that write and upload.

        Other splits there stay.  What was uploaded before is not uploaded again: a push that was
        cut off goes on when it is called again.  Returns huggingface_hub's CommitInfo.
        """
        from enfold.data.push.commit import push
        from enfold.data.push.request import Request

        own: Any = self
        name = split or (str(own.split) if own.split is not None else "train")
        return push(Request(
            repo_id, {name: self}, False, config_name, set_default, data_dir, commit_message,
            commit_description, private, token, revision, create_pr, max_shard_size,
            {name: num_shards}, embed_external_files, num_proc))


class PushedSplits:
    """A dict of datasets that can be pushed."""

    def push_to_hub(self, repo_id: str, config_name: str = "default",
                    set_default: bool | None = None, data_dir: str | None = None,
                    commit_message: str | None = None, commit_description: str | None = None,
                    private: bool | None = None, token: str | bool | None = None,
                    revision: str | None = None, create_pr: bool = False,
                    max_shard_size: int | str | None = None,
                    num_shards: Mapping[str, int | None] | None = None,
                    embed_external_files: bool = True, num_proc: int | None = None) -> Any:
        """Upload all splits; those that were there before and are not here are removed.

        num_shards: files, by split.  See `Dataset.push_to_hub` for the rest.
        """
        from enfold.data.push.commit import push
        from enfold.data.push.request import Request

        splits: Any = self
        request = Request(
            repo_id, {str(name): dataset for name, dataset in splits.items()}, True, config_name,
            set_default, data_dir, commit_message, commit_description, private, token, revision,
            create_pr, max_shard_size, num_shards, embed_external_files, num_proc)
        _same_features(splits)
        return push(request)


def _same_features(splits: Mapping[str, Any]) -> None:
    known = {name: dataset._resolve_features().features if hasattr(dataset, "_resolve_features")
             else dataset.features for name, dataset in splits.items()}
    first = next(iter(known), None)
    for name, features in known.items():
        if first is not None and features != known[first]:
            raise DataError("push_to_hub: All datasets in `DatasetDict` should have the same "
                            f"features but features for '{first}' and '{name}' don't match: "
                            f"{known[first]} != {features}. Do: cast one of them")
