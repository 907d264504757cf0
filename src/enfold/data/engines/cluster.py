"""A Ray cluster, connected within a `with` block."""

from __future__ import annotations

from typing import Any, Self

from enfold.errors import InputError
from enfold.lazy import require


class Cluster:
    """The cluster that this process is connected to, or that of `address`.

    address: "auto", "ray://host:10001", "host:6379"; None is the cluster that Ray finds, or a new
    one on this machine.  options: of `ray.init`, as num_cpus= or runtime_env=.  A connection that
    was there before stays after.  Raises DependencyError without Ray (extra `ray`).
    """

    title = "Cluster"  # who asks for it, in errors

    def __init__(self, address: str | None = None, options: dict[str, Any] | None = None) -> None:
        self.ray, self.address, self.options = require("ray", "ray"), address, dict(options or {})
        self.mine = False

    def __enter__(self) -> Self:
        if self.ray.is_initialized():
            self._check_same()
        else:
            self.ray.init(**({} if self.address is None else {"address": self.address}),
                          **self.options)
            self.mine = True
        return self

    def __exit__(self, *error: object) -> None:
        if self.mine:
            self.ray.shutdown()
            self.mine = False

    def _check_same(self) -> None:
        if self.options or self.address not in (None, "auto",
                                                self.ray.get_runtime_context().gcs_address):
            raise InputError(f"{self.title}: got address={self.address!r} and "
                             f"{self.options or 'no options'}, and this process is connected to a "
                             "Ray cluster already. Do: leave them out to use that, or "
                             "ray.shutdown() first")
