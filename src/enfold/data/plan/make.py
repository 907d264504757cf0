"""Steps with functions of the user, added to a plan: what is run at once, what is left for later.

Run over all rows at once: a function that returns None (it is there for its side effects), that
changes what it holds on to or draws random numbers, that holds on to what has no digest, or whose
first batch does not tell its types; and where the caller asks for it.  Anything else is frozen as
it is now, and run when something reads the result.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from enfold.data.fingerprint import Unhashable, digest
from enfold.data.plan.apply import Apply, Settings
from enfold.data.plan.mapop import MapOp, holds_null
from enfold.data.plan.node import Node
from enfold.data.plan.ops import UserOp
from enfold.data.plan.watch import Watch

_log = logging.getLogger(__name__)
_eager = False


def set_eager(eager: bool = True) -> None:
    """Whether map() and filter() run over all rows at once; also ENFOLD_EAGER=1."""
    global _eager
    _eager = eager


def is_eager() -> bool:
    """Whether nothing is left for later."""
    return _eager or os.environ.get("ENFOLD_EAGER", "").lower() in ("1", "true", "yes", "on")


def with_function(below: Node, op: UserOp, options: Any, settings: Settings, *,
                  now: bool = False, fingerprint: str | None = None) -> Node:
    """The plan with a step more; `below` itself if the function returns None.

    options: what of the call tells what comes out.  now: run at once.
    """
    call = op.call
    watch = Watch(call.function, call.fn_kwargs)
    key: Any = None
    if watch.unhashable is None:
        try:
            key = (call.what, digest(call.function), digest(dict(call.fn_kwargs)), options)
        except Unhashable as error:
            watch.unhashable = error
    node = Apply(below, op, key, settings)
    node.watch = watch
    if fingerprint is not None:
        node._fingerprint = fingerprint
    elif watch.unhashable is not None:
        _without_key(node, watch.unhashable)
    if node.find():
        return node
    if not (now or is_eager()) and node.find_head():
        op.call = call.frozen()
        return node
    node.start()
    if isinstance(op, MapOp) and op.silent:
        node.run_silently()
        return below
    changed = watch.unhashable is None and watch.changed(call.function) is not None
    if changed and fingerprint is None:
        node.cacheable = False
    if now or is_eager() or changed or watch.unhashable is not None or watch.drew() \
            or node.started_whole or any(map(holds_null, node.features.values())):
        node.watch = None
        node.frame()
    else:
        op.call = call.frozen()
        node.keep_head()
    return node


def _without_key(node: Apply, why: Unhashable) -> None:
    """The result can't be found again; say so once, where it would have been kept."""
    node.cacheable = False
    node._fingerprint = digest(("unhashable", os.urandom(16)))[:16]
    if node.durable:
        _log.warning("the result of %s() is not cached, because its function has no digest: %s. "
                     "Do: pass new_fingerprint=, a name that you change when the function changes",
                     node.op.call.what, why)
