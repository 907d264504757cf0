"""`enfold launch SCRIPT`: a script on several processes, by torchrun, also on a Ray cluster.

Everything that a process has to know is in its environment, so the script is the one that runs
alone: a Trainer in it finds the other ranks.  On several machines the same command is given on
each, with `--nnodes` and `--rdzv-endpoint`.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

from enfold.errors import InputError


def main(args: Namespace) -> int:
    """Run to the end; 1 if a process failed, which ends the others."""
    if not args.module and not Path(args.script).is_file():
        raise InputError(f"{args.script}: there is no such file. Do: check the path, or --module "
                         "for the name of a module")
    if args.ray:
        return on_ray(args)
    if args.address:
        raise InputError(f"--address {args.address} is for a Ray cluster. Do: add --ray, or "
                         "--rdzv-endpoint HOST:PORT for machines without one")
    if args.nnodes != "1" and not args.rdzv_endpoint:
        raise InputError(f"--nnodes {args.nnodes} and no --rdzv-endpoint. Do: name one machine and "
                         "a free port of it, the same on all: --rdzv-endpoint host:29400")
    count = processes(args.nproc_per_node)
    # torchrun gives each process one thread; the cores are there to be shared out
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(words(args, count))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f"enfold launch: rank {rank} of {args.script} failed first ({ended(failure)}), and "
              "the others were stopped. What it said is above. Do: mend that and start again, "
              "with trainer.train(resume_from_checkpoint=True)", file=sys.stderr)
        return 1
    return 0


def on_ray(args: Namespace) -> int:
    """Run to the end on a Ray cluster; an error for a place that failed."""
    from enfold.train.ray import launch

    if args.rdzv_endpoint:
        raise InputError(f"--rdzv-endpoint {args.rdzv_endpoint} with --ray, which finds one itself."
                         " Do: leave it out")
    nodes, each = (_count(args, name) for name in ("nnodes", "nproc_per_node"))
    launch(args.script, args.arguments, nnodes=nodes, nproc_per_node=each, module=args.module,
           address=args.address, max_restarts=args.max_restarts)
    return 0


def _count(args: Namespace, name: str) -> int:
    asked: str = getattr(args, name) or "1"
    if not asked.isdigit():
        raise InputError(f"--{name.replace('_', '-')} {asked} with --ray: expected a number")
    return int(asked)


def processes(asked: str | None) -> int:
    """How many processes this machine gets: one for each GPU, or one."""
    if asked is not None and asked.isdigit() and int(asked):
        return int(asked)
    if asked == "cpu":
        return os.cpu_count() or 1
    if asked not in (None, "auto", "gpu"):
        raise InputError(f"--nproc-per-node {asked}: expected a number, gpu, cpu or auto")
    import torch

    found = torch.cuda.device_count()
    if asked == "gpu" and not found:
        raise InputError("--nproc-per-node gpu: there is no GPU. Do: give a number")
    return found or 1


def words(args: Namespace, count: int) -> list[str]:
    """The arguments of torchrun."""
    given = ["--nproc-per-node", str(count), "--nnodes", args.nnodes,
             "--max-restarts", str(args.max_restarts)]
    if args.rdzv_endpoint:
        given += ["--rdzv-backend", "c10d", "--rdzv-id", args.rdzv_id,
                  "--rdzv-endpoint", args.rdzv_endpoint]
    else:
        given += ["--standalone"]
    return [*given, *(["--module"] if args.module else []), args.script, *args.arguments]


def ended(failure: object) -> str:
    """How a process ended, in words."""
    code = int(getattr(failure, "exitcode", 1))
    if code < 0:
        from signal import Signals

        return f"killed by {Signals(-code).name}"
    return f"exit code {code}"
