"""Plans run, here or by a cluster."""

from __future__ import annotations

from typing import Any, Self

from enfold.data.dataset.base import Base
from enfold.errors import ArgumentError


class Running(Base):
    """What runs a plan."""

    def run(self, engine: str | None = None, address: str | None = None, **options: Any) -> Self:
        """Run what is left of the plan now: here, as `cache` does, or by an engine.

        engine: "ray" sends the rows in stretches to a Ray cluster, whose results come back and are
        kept and cached as if computed here.  address: of the cluster, such as "auto" or
        "ray://host:10001"; by default the one that this process is connected to, or that Ray finds,
        or a new one on this machine.  options: of `ray.init`, as num_cpus= or runtime_env=.
        """
        if engine is None:
            if address is not None or options:
                given = [*(["address"] if address is not None else []), *options]
                raise ArgumentError(f"run: got {', '.join(given)} without engine. Do: add "
                                    "engine='ray'")
            return self.cache()
        from enfold.data.engines import connected
        from enfold.data.plan.engine import running_on

        with connected(engine, address, options) as cluster, running_on(cluster):
            return self.cache()
