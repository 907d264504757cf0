"""push_to_hub: a dataset as Parquet shards in a repository of the Hub, and its card.

    checks -> repository -> shards, each written and uploaded -> commits -> the card in the last one

A shard is stored by its content: a push that was cut off and is begun anew uploads what is missing,
and a shard that the repository has already is not uploaded at all.
"""

from enfold.data.push.mixins import PushedDataset, PushedSplits

__all__ = ["PushedDataset", "PushedSplits"]
