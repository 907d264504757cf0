"""The cache of computed tables: a folder of results by fingerprint."""

from enfold.data.cache.entry import Entry
from enfold.data.cache.evict import ls, prune, rm, verify
from enfold.data.cache.settings import (
    cache_folder,
    cache_limit,
    disable_caching,
    enable_caching,
    is_caching_enabled,
)
from enfold.data.cache.store import Lease, Store
from enfold.errors import CacheFull

__all__ = ["CacheFull", "Entry", "Lease", "Store", "cache_folder", "cache_limit",
           "disable_caching", "enable_caching", "is_caching_enabled", "ls", "prune", "rm",
           "verify"]
