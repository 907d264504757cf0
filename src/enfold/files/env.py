"""The Hub's environment variables, read when they are needed: setting one after import works.

    HF_HOME               everything of huggingface's (default $XDG_CACHE_HOME/huggingface)
    HF_HUB_CACHE          the repositories (default $HF_HOME/hub); HUGGINGFACE_HUB_CACHE is its old
                          name, and TRANSFORMERS_CACHE is used where neither of them is set
    HF_ENDPOINT           the Hub's address (default https://huggingface.co)
    HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE      1, on, yes or true: no request is made
    HF_HUB_ETAG_TIMEOUT   seconds to wait for the Hub before falling back to the cache (default 10)
"""

from __future__ import annotations

import os
from pathlib import Path

_CACHES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")
_TRUE = {"1", "ON", "YES", "TRUE"}


def offline() -> str | None:
    """The setting that forbids the network, such as `HF_HUB_OFFLINE=1`, or None."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        value = os.environ.get(name, "")
        if value.upper() in _TRUE:
            return f"{name}={value}"
    return None


def endpoint() -> str:
    """The Hub's address, without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds `models--org--name`: `cache_dir`, or what the environment says."""
    chosen = cache_dir or next((os.environ[n] for n in _CACHES if os.environ.get(n)), None)
    return _expand(chosen) if chosen else hf_home() / "hub"


def hf_home() -> Path:
    """Where huggingface's libraries keep their files."""
    if home := os.environ.get("HF_HOME"):
        return _expand(home)
    return _expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"


def timeout() -> float:
    """Seconds to wait for an answer about a repository."""
    return float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or 10)


def _expand(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
