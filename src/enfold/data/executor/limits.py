"""Threads of workers: the cores are shared out, so that N workers do not run N x cores threads."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
              "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS",
              "POLARS_MAX_THREADS")


def cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(num_proc: int) -> int:
    """Threads for each of `num_proc` workers."""
    return max(1, cores() // num_proc)


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with the thread variables at most `threads`."""
    env = dict(os.environ)
    for name in _VARIABLES:
        set_here = env.get(name, "")
        if not (set_here.isdigit() and 0 < int(set_here) <= threads):
            env[name] = str(threads)
    return env


def limit_threads(threads: int) -> None:
    """Limit the threads of libraries that do not read the environment."""
    import pyarrow

    pyarrow.set_cpu_count(threads)
