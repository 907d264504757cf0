"""`Apply`: a step that functions of the user, or casts, take part in; run in passes.

The first batch is run when the step is made, so that its columns, its features and an error of
the function are there at once.  The rest is run when something reads it, together with the steps
below that nobody else holds: one pass over the data, one result written.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import Any

from enfold.data.cache import Lease, Store, is_caching_enabled
from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.plan import segments as written
from enfold.data.plan.chunk import Result
from enfold.data.plan.first import by_a_worker, first_batch, on_copies
from enfold.data.plan.mapop import MapOp
from enfold.data.plan.node import Node
from enfold.data.plan.ops import ColumnsOp, UserOp
from enfold.data.plan.parallel import all_tame
from enfold.data.plan.passes import divisible, processes, run_pass, run_silently
from enfold.data.plan.segments import Segment
from enfold.data.plan.stages import Base, Step
from enfold.data.plan.watch import Watch
from enfold.errors import DataFileError

_log = logging.getLogger(__name__)

RULES = 1  # goes up when the same function on the same data gives another result than before


@dataclass(frozen=True)
class Settings:
    """How a step is run, which does not change what comes out."""

    num_proc: int | None = None
    desc: str | None = None
    in_memory: bool = False
    reuse: bool = True  # whether a cached result may be taken
    label: str = ""


class Apply(Node):
    """A step over the rows of one input.  key: what identifies the op, besides the input."""

    def __init__(self, below: Node, op: Any, key: Any, settings: Settings = Settings()) -> None:
        super().__init__((below,), below.features, None)
        self.op, self.key, self.settings = op, key, settings
        self.done: list[Result] = []
        self.watch: Watch | None = None
        self.cacheable = True
        self.pace = 0.0  # seconds per row of the first batch
        if settings.in_memory:
            self.durable = False
        if isinstance(op, ColumnsOp):
            self.features, self._rows = op.features, below.rows if op.features else 0

    @property
    def below(self) -> Node:
        """What it is applied to."""
        return self.inputs[0]

    def identity(self) -> Any:
        """The op and the input."""
        return ("apply", RULES, self.key, self.below.fingerprint)

    def label(self) -> str:
        """What the op is called."""
        return self.settings.label or type(self.op).__name__

    # -- making the plan

    def start(self) -> None:
        """Run the first batch, which tells the features; keep it."""
        chain, base = self._pending()
        steps = [Step(step.op, step.done) for step in (*chain, self)]
        limit, count = self._first(), self.settings.num_proc or 1
        if limit is not None:
            self.op.call = replace(self.op.call, rank=0)
        began = perf_counter()
        if count > 1 and limit is None and all_tame(steps):
            on_copies(steps, Base(base.frame(), base.features))
        elif count > 1:
            by_a_worker(steps, base.frame(), base.features, limit, count)
        else:
            first_batch(steps, Base(base.frame(), base.features), limit)
        for node, step in zip((*chain, self), steps, strict=True):
            node.done = step.done
        if self.done:
            self.features = self.done[-1].features
            self._rows = self._count()
            self.pace = (perf_counter() - began) / max(1, self.done[0].rows_in)

    def _first(self) -> int | None:
        """How many rows the first batch may have: with ranks, those of the first worker."""
        count, rows = self.settings.num_proc or 1, self.below.rows
        if not (count > 1 and isinstance(self.op, UserOp) and self.op.call.with_rank and rows):
            return None
        return -(-rows // min(count, rows))

    @property
    def started_whole(self) -> bool:
        """Whether the first batch was everything."""
        rows = self.below.rows
        return rows is not None and sum(result.rows_in for result in self.done) >= rows

    def _count(self) -> int | None:
        """How many rows come out of a map that keeps a column of its input; as many as go in."""
        first = self.done[0]
        if not first.columns:
            return 0
        if isinstance(self.op, MapOp) and (not self.op.call.batched or first.shares) \
                and not self.op.drop_last:
            return self.below.rows
        return None

    def _pending(self) -> tuple[list[Apply], Node]:
        """The steps below that are not run, lowest first, and what they stand on."""
        chain: list[Apply] = []
        node = self.below
        while isinstance(node, Apply) and not node.resolved:
            chain.insert(0, node)
            node = node.below
        return chain, node

    def find_head(self) -> bool:
        """Take what the first batch told from the cache, if it is there: then it is not run."""
        if not (self.durable and self.cacheable and self.settings.reuse and is_caching_enabled()):
            return False
        path = Store().find(f"{self.fingerprint}-head")
        if path is None:
            return False
        notes = json.loads(path.read_text())
        features = Features.from_dict(notes["features"])
        self.features = Features({name: features[name] for name in notes["names"]})
        self._rows = self.below.rows if notes["as_below"] else None
        if isinstance(self.op, MapOp):
            self.op.out = self.features
        return True

    def keep_head(self) -> None:
        """Write down what the first batch told."""
        if not (self.durable and self.cacheable and is_caching_enabled()):
            return
        notes = {"features": self.features.to_dict(), "names": list(self.features),
                 "as_below": self._rows is not None}
        with Store().write(f"{self.fingerprint}-head", f"columns of {self.label()}") as path:
            if path is not None:
                path.write_text(json.dumps(notes))

    # -- running it

    def find(self) -> bool:
        """Take the result from the cache, if it is there."""
        if not (self.durable and self.cacheable and self.settings.reuse):
            return False
        lease = Store().lease(self.fingerprint)
        if lease is None:
            return False
        try:
            frame, features = self._load(lease)
        except (DataFileError, KeyError):
            lease.close()
            return False
        self._frame, self.features = frame, features
        _log.info("Loading cached processed dataset at %s", lease.path)
        return True

    def run(self) -> Frame:
        """One pass over the data, for this step and those below that nobody else holds."""
        chain, below = self._fused()
        base = below.frame()
        if all(step.op.free for step in chain):
            return _reshaped(chain, base)
        for step in chain:
            if step.watch is not None:
                step.watch.check(step.op.call)
        try:
            if not self.durable and processes(chain) == 1:
                segments = self._pass(chain, base, None)
                frame = written.assemble(base, segments, self.features)
            else:
                frame, self.features = self._load(self._written(chain, below, base))
        except FileNotFoundError as error:
            if any(step.watch is not None for step in chain):
                error.add_note("(map() and filter() run when their result is read; files that the "
                               "function reads have to be there then. Do: lazy=False runs it at "
                               "once)")
            raise
        self.done, self.watch = [], None  # only the run needed them
        return frame

    def _written(self, chain: list[Apply], below: Node, base: Frame) -> Lease:
        """The result in files: in the cache, or in a folder that goes when nobody holds it."""
        store = Store()

        def build(path: Path) -> None:
            path.mkdir()
            segments = self._pass(chain, base, path)
            written.save_layout(path, segments, self.features, below.fingerprint)

        if not (self.durable and all(step.cacheable for step in chain)):
            return store.temporary(build)
        reuse = all(step.settings.reuse for step in chain)
        key = self.fingerprint if reuse else f"{self.fingerprint}-{token_hex(4)}"
        return store.obtain(key, build, note=self.label())

    def run_silently(self) -> None:
        """Run a function that returns nothing over all rows."""
        chain, below = self._fused()
        run_silently(chain, below.frame())

    def _fused(self) -> tuple[list[Apply], Node]:
        chain: list[Apply] = [self]
        node = self.below
        while isinstance(node, Apply) and not node.resolved and len(node.users) <= 1 \
                and (node.durable or not self.durable):
            chain.insert(0, node)
            node = node.below
        if processes(chain) > 1 and (whole := divisible(chain)) < len(chain):
            node, chain = chain[whole - 1], chain[whole:]
        return chain, node

    def _pass(self, chain: list[Apply], base: Frame, folder: Path | None) -> list[Segment]:
        segments, features = run_pass(chain, base, folder)
        if features is not None:
            self.features = features
        return written.fill(segments, base, self.features, folder)

    def _load(self, lease: Lease) -> tuple[Frame, Features]:
        segments, features, base = written.load_layout(lease.path)
        node: Node | None = self.below
        while node is not None and node.fingerprint != base:
            node = node.inputs[0] if node.inputs else None
        if node is None:
            raise DataFileError(f"{lease.path}: the cached result stands on other data ({base})")
        return written.assemble(node.frame(), segments, features, (lease,)), features


def _reshaped(chain: list[Apply], frame: Frame) -> Frame:
    """Columns picked and renamed: nothing to write."""
    for step in chain:
        columns = {name: frame.columns[source] for name, (source, _) in step.op.columns.items()}
        frame = Frame(columns, frame.num_rows if columns else 0, frame.holds)
    return frame
