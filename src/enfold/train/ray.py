"""A script on the machines of a Ray cluster (extra `ray`): Ray finds room, torchrun does the rest.

    launch("train.py", ["--learning_rate", "3e-5"], nnodes=2, nproc_per_node=4, address="auto")

    this process ─▶ Ray: 2 places of 4 CPUs (and 4 GPUs) ─▶ in each: torchrun, 4 processes

So a Trainer finds its ranks as ever, and restarts, output and exit codes are torchrun's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enfold.data.engines.cluster import Cluster
from enfold.errors import EnfoldError, InputError
from enfold.lazy import require

PATIENCE = 600.0  # seconds until a cluster that grows has to have room
GRACE = 5.0  # seconds that a place has to end by itself


class RunFailed(EnfoldError, RuntimeError):  # noqa: N818 - reads as what it is
    """A process failed, and not all restarts helped."""


class _Launch(Cluster):
    title = "launch"


def launch(script: str | os.PathLike[str], arguments: Sequence[str] = (), *, nnodes: int = 1,
           nproc_per_node: int = 1, module: bool = False, address: str | None = None,
           use_gpu: bool | None = None, cpus_per_node: int | None = None, max_restarts: int = 0,
           patience: float = PATIENCE, options: dict[str, Any] | None = None) -> None:
    """Run a script to the end, on `nnodes` places of the cluster with `nproc_per_node` processes.

    Places are on different machines where there are as many.  module: `script` is the name of a
    module.  address, options: of the cluster, as in `Cluster`.  use_gpu: a GPU for each process, by
    default if the cluster has as many.  cpus_per_node: of a place, shared out to its processes as
    threads; by default one each.  max_restarts: how often all processes are started again when one
    fails; the script goes on with resume_from_checkpoint.  patience: seconds to wait for room.

    The folder it is started in, the script and what it writes are at the same path on all machines.
    Raises RunFailed for a place whose processes failed or whose machine was lost.
    """
    if nnodes < 1 or nproc_per_node < 1:
        raise InputError(f"launch: got nnodes={nnodes} and nproc_per_node={nproc_per_node}, "
                         "expected 1 or more of both")
    cpus = cpus_per_node or nproc_per_node
    given = ["--module"] if module else []
    command = [*given, os.fspath(script) if module else os.path.abspath(script), *arguments]
    with _Launch(address, options) as cluster:
        if use_gpu is None:
            use_gpu = cluster.ray.cluster_resources().get("GPU", 0) >= nnodes * nproc_per_node
        needs = {"CPU": cpus} | ({"GPU": nproc_per_node} if use_gpu else {})
        group = _reserved(cluster.ray, needs, nnodes, patience)
        try:
            hosts = [_host(cluster.ray, group, needs, number) for number in range(nnodes)]
            start = ["--nnodes", str(nnodes), "--nproc-per-node", str(nproc_per_node),
                     "--max-restarts", str(max_restarts), "--rdzv-backend", "c10d", "--rdzv-id",
                     "enfold", "--rdzv-endpoint", cluster.ray.get(hosts[0].meeting_place.remote())]
            _run(cluster.ray, hosts, [*start, *command], max(1, cpus // nproc_per_node))
        finally:
            cluster.ray.util.remove_placement_group(group)


class Host:
    """One place, as an actor of Ray."""

    process: subprocess.Popen[bytes] | None = None

    def meeting_place(self) -> str:
        """Address and a free port of this machine."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return f"{_here()}:{probe.getsockname()[1]}"

    def run(self, words: Sequence[str], folder: str, threads: int, first: bool) -> int:
        """`torchrun WORDS` to its end; its exit code.  The others meet at the first place."""
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"{folder} is not on the machine {socket.gethostname()}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--rdzv-conf", f"is_host={first}",
             "--local-addr", _here(), *words],
            cwd=folder, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
        return self.process.wait()

    def stop(self) -> None:
        """End it; torchrun ends its processes, unless it waits for the other places alone."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()


def _here() -> str:
    """The address of this machine that the others of the cluster know."""
    return str(require("ray", "ray").util.get_node_ip_address())


def _reserved(ray: Any, needs: dict[str, int], count: int, patience: float) -> Any:
    """Room for `count` places, kept until it is given back."""
    group = ray.util.placement_group([needs] * count, strategy="SPREAD")
    try:
        ray.get(group.ready(), timeout=patience)
    except ray.exceptions.GetTimeoutError as error:
        ray.util.remove_placement_group(group)
        free = {kind: ray.available_resources().get(kind, 0) for kind in needs}
        raise InputError(f"launch: no room for {count} places of {needs} in {patience:g} seconds; "
                         f"the cluster has {free} free, on all machines together. Do: ask for "
                         "less, or add machines") from error
    return group


def _host(ray: Any, group: Any, needs: dict[str, int], number: int) -> Any:
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
        placement_group=group, placement_group_bundle_index=number)
    return ray.remote(Host).options(  # two calls at once: `stop` comes while `run` waits
        num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), max_concurrency=2,
        scheduling_strategy=strategy).remote()


def _run(ray: Any, hosts: Sequence[Any], words: Sequence[str], threads: int) -> None:
    """All places to the end; the first that fails ends the others."""
    running = {host.run.remote(words, os.getcwd(), threads, number == 0): number
               for number, host in enumerate(hosts)}
    try:
        while running:
            (ended,), _ = ray.wait(list(running), num_returns=1)
            number = running.pop(ended)
            try:
                said = f"exit code {code}" if (code := ray.get(ended)) else ""
            except ray.exceptions.RayError as error:
                said = str(error).strip().splitlines()[-1]
            if said:
                raise RunFailed(f"launch: place {number} of {len(hosts)} failed ({said}); what it "
                                "printed is above. Do: mend that and start again, with "
                                "trainer.train(resume_from_checkpoint=True)")
    finally:
        if stopping := [hosts[number].stop.remote() for number in running.values()]:
            ray.wait(stopping, num_returns=len(stopping), timeout=2 * GRACE)
