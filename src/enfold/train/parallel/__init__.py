"""Several processes: who this one is, and what they do together."""

from enfold.train.parallel.ranks import Ranks, join

__all__ = ["Ranks", "join"]
