"""`enfold env`: what a bug report needs: versions, hardware, caches, settings."""

from __future__ import annotations

import json
import os
import platform
import re
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from enfold.files.env import cache_root, endpoint, hf_home, offline

PACKAGES = ("enfold", "torch", "tokenizers", "safetensors", "huggingface_hub", "numpy", "jinja2",
            "pyarrow", "transformers")
FEATURES = re.compile(r"\b(?:avx2|avx512\w*|avx_vnni|amx_\w+|neon|asimd\w*|sve\w*|bf16|i8mm)\b")
SETTINGS = re.compile(r"HF_|HUGGING_?FACE|TRANSFORMERS_|ENFOLD_|OMP_NUM_|MKL_NUM_|CUDA_VISIBLE")
SECRET = re.compile(r"TOKEN$|KEY$|SECRET$|PASSWORD$")


def main(args: Namespace) -> int:
    """Print the report as aligned sections, or as JSON."""
    found = report()
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    width = max(len(name) for section in found.values() for name in section)
    for title, section in found.items():
        print(title)
        for name, value in section.items():
            print(f"  {name:<{width}}  {value}")
    return 0


def report() -> dict[str, dict[str, str]]:
    """Sections of name and value, every value a text."""
    return {"versions": versions(), "machine": machine(), "torch": torch_settings(),
            "hub": hub(), "settings": settings()}


def versions() -> dict[str, str]:
    """Python and the packages that matter, from their metadata."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, str]:
    """The platform, its processor and the instruction sets that decide speed."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    return {"platform": platform.platform(),
            "processor": model[1] if model else platform.processor() or platform.machine(),
            "cores": str(os.cpu_count()),
            "features": " ".join(sorted(set(FEATURES.findall(text)))) or "unknown"}


def torch_settings() -> dict[str, str]:
    """Threads and devices, or why torch can't be imported."""
    try:
        import torch
    except ImportError as error:
        return {"error": f"{error}. Do: pip install torch"}
    from enfold.nn.linear import describe as products
    from enfold.nn.native.library import describe

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"threads": f"{torch.get_num_threads()} (between operations: "
                       f"{torch.get_num_interop_threads()})",
            "kernels": torch.backends.cpu.get_cpu_capability(),
            "our kernels": describe(),
            "linear layers": products(),
            "fp32 matmul": torch.get_float32_matmul_precision(),
            "cuda": ", ".join(cuda) or "none",
            "mps": "yes" if torch.backends.mps.is_available() else "none"}


def hub() -> dict[str, str]:
    """Where downloads come from and are kept, as the environment says now."""
    return {"home": str(hf_home()), "models": str(cache_root()), "endpoint": masked("", endpoint()),
            "offline": offline() or "no"}


def settings() -> dict[str, str]:
    """The environment variables that change behaviour; secrets are named, never shown."""
    return {name: masked(name, value) for name, value in sorted(os.environ.items())
            if SETTINGS.match(name)} or {"(none set)": ""}


def masked(name: str, value: str) -> str:
    """The value, without passwords in addresses, or only the length of a secret."""
    if SECRET.search(name):
        return f"set ({len(value)} characters)"
    return re.sub(r"//[^/@]+@", "//***@", value)
