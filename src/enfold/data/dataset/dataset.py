"""`Dataset`, put together of its parts."""

from __future__ import annotations

from enfold.data.dataset.exporting import Exporting
from enfold.data.dataset.importing import Importing
from enfold.data.dataset.making import Making
from enfold.data.dataset.mapping import Functions
from enfold.data.dataset.running import Running
from enfold.data.dataset.searching import Searching
from enfold.data.dataset.storing import Storing
from enfold.data.info import InfoFields


class Dataset(Searching, Functions, Making, Importing, Exporting, Storing, Running, InfoFields):
    """Rows with named columns, stored as Arrow data, read and changed through a lazy plan.

        ds = Dataset.from_dict({"text": ["a", "bb"], "label": [0, 1]})
        ds[0], ds[:2], ds["text"]
        ds = ds.map(lambda row: {"n": len(row["text"])}).filter(lambda row: row["n"] > 1)

    What changes a dataset returns another one and shares the data.  `map` and `filter` run the
    first batch at once and the rest when something reads it: `print(ds.plan)` shows what is done.
    """
