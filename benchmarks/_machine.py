"""The machine that a benchmark ran on, and what it has to give: bandwidth and products."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BUSY = os.environ.get("ENFOLD_BENCH_CLOCK") == "cpu"  # set by --cpu
clock = time.process_time if BUSY else time.perf_counter
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve")
FIELDS = re.compile(r"^(Rss|Pss|VmHWM):\s+(\d+) kB", re.MULTILINE)


def about() -> dict[str, Any]:
    """Date, processor, load and versions."""
    packages = ("enfold", "torch", "transformers", "tokenizers", "datasets", "pyarrow", "peft")
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    model, flags = re.search(r"model name\s*: (.*)", text), text.split()
    return {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "platform": platform.platform(), "python": platform.python_version(),
            "cpu": model[1] if model else platform.processor() or platform.machine(),
            "features": " ".join(name for name in FEATURES if name in flags),
            "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2),
            "memory GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            **{package: version(package) for package in packages}, "commit": commit()}


def commit() -> str:
    """The commit of the checkout, "-dirty" where files differ from it, or "?" outside of one."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], text=True,
                          capture_output=True, cwd=Path(__file__).parent, check=False)
    return done.stdout.strip() or "?"


def memory() -> dict[str, float]:
    """MB of this process: resident now, its share of what is shared, and the peak.

    The peak is VmHWM: ru_maxrss of a process starts at what its parent held.
    """
    text = Path("/proc/self/smaps_rollup").read_text() + Path("/proc/self/status").read_text()
    found = {name: int(size) / 1024 for name, size in FIELDS.findall(text)}
    return {"rss": found["Rss"], "pss": found["Pss"], "peak": found["VmHWM"]}


def bandwidth(dtype: torch.dtype, megabytes: int = 768) -> float:
    """Bytes per second that a plain read of a big tensor reaches, the better of two ways."""
    import torch

    big = torch.ones(megabytes << 8, 4096 // dtype.itemsize, dtype=dtype)
    words, vector = big.view(torch.int64), torch.ones(big.shape[1], dtype=dtype)
    return big.nbytes / min(_best(words.sum), _best(lambda: torch.mv(big, vector)))


def products(dtype: torch.dtype, size: int = 2048) -> float:
    """Multiplications and additions per second of one large matrix product, packed or not."""
    import torch

    x = torch.randn(size, size).to(dtype)
    packed = torch.ops.mkldnn._reorder_linear_weight(x, None)
    ways = (lambda: x @ x,
            lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""))
    return 2 * size**3 / min(map(_best, ways))


def _best(work: Callable[[], object], repeats: int = 15) -> float:
    seconds = []
    for _ in range(repeats):
        start = clock()
        work()
        seconds.append(clock() - start)
    return min(seconds)
