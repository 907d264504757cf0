"""Datasets pickled: columns in files by their path, others by value; what is left is run first."""

from __future__ import annotations

from typing import Any

from enfold.data.frame.state import frame_of, frame_state
from enfold.data.plan import Loaded


def state_of(dataset: Any) -> dict[str, Any]:
    """What a dataset is, without open files."""
    node = dataset._node
    state = {name: value for name, value in dataset.__dict__.items()
             if name not in ("_node", "_view")}
    return {**state, "_frame": frame_state(node.frame()), "_features": node.features,
            "_durable": node.durable, "_key": node._fingerprint}


def restore(dataset: Any, state: dict[str, Any]) -> None:
    """The dataset of such a state."""
    state = dict(state)
    frame, features = frame_of(state.pop("_frame")), state.pop("_features")
    durable, key = state.pop("_durable"), state.pop("_key")
    dataset.__dict__.update(state)
    dataset._view = None
    dataset._node = Loaded(frame, features, durable=durable, fingerprint=key)
    dataset._node.users.add(dataset)
