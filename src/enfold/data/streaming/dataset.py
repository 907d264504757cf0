"""`IterableDataset`: rows that are read, and transformed, as they are asked for.

    ds = IterableDataset.from_csv("*.csv").map(clean).shuffle(seed=0, buffer_size=10_000)
    for row in ds: ...
    state = ds.state_dict(); ...; ds.load_state_dict(state)      # the very next row, at once

base.py reads, transforms.py makes streams of streams, create.py and export.py are from_ and to_.
"""

from __future__ import annotations

from enfold.data.push.mixins import PushedDataset
from enfold.data.streaming.export import Exported


class IterableDataset(Exported, PushedDataset):
    """A stream of rows, in shards that workers and machines share.

    It is a torch IterableDataset too, as soon as torch is loaded.
    """
