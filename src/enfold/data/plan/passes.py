"""One pass over the data, in this process or over several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.plan.segments import Segment, Writer, open_all
from enfold.data.plan.stages import Base, pipeline


def run_pass(chain: Sequence[Any], base: Frame,
             folder: Path | None) -> tuple[list[Segment], Features | None]:
    """(what was written, the features at the end); chain: steps, lowest first."""
    writer = Writer(folder)
    features = None
    below = Base(base, chain[0].below.features)
    for chunk in pipeline(chain, below):
        features = chunk.features
        writer.add(chunk)
    return open_all(folder, writer.close()), features


def run_silently(chain: Sequence[Any], base: Frame) -> None:
    """Run a function that returns nothing over all rows."""
    for _ in pipeline(chain, Base(base, chain[0].below.features)):
        pass
