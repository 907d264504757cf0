"""A row more at the end of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from enfold.data.dataset.aligning import fitted
from enfold.data.features import Features, cast_array, to_array
from enfold.data.features.build import infer
from enfold.data.features.promote import is_null, promote
from enfold.data.frame import Frame
from enfold.data.plan import Reshape
from enfold.errors import DataError


def with_item(dataset: Any, item: Mapping[str, Any], fingerprint: str | None) -> Any:
    """The dataset with a row more.

    A column that the row lacks is None there; one that only the row has is None in all others.
    """
    if not isinstance(item, Mapping):
        raise DataError(f"add_item: got a {type(item).__name__}. Expected a dict with a value per "
                        "column")
    features = Features(dataset.features)
    for name, value in item.items():
        shown = infer([value], name) if name not in features or is_null(features[name]) else None
        if shown is not None:
            features[name] = promote(features.get(name, shown), shown, column=name)
    columns = {name: cast_array(to_array([item.get(name)], column=name), feature, column=name)
               for name, feature in features.items()}
    last = Frame.of(pa.Table.from_arrays(list(columns.values()), schema=features.arrow_schema))
    rows = dataset._node.rows
    node = Reshape([dataset._node], features, rows + 1 if rows is not None else None, "add item",
                   lambda frame: Frame.below([fitted(frame, features), last]),
                   ("add item", last.table()))
    return dataset._with(node, fingerprint)
