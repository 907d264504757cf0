"""Several processes: who this one is, and what they do together."""

from enfold.train.parallel.ranks import Ranks

__all__ = ["Ranks"]
