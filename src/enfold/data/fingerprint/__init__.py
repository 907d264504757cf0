"""Fingerprints: content hashes of anything a map may hold, and functions frozen as they are now."""

from enfold.data.fingerprint.captures import captured
from enfold.data.fingerprint.digest import digest
from enfold.data.fingerprint.freeze import freeze
from enfold.data.fingerprint.pickling import dumps, loads
from enfold.errors import Unhashable

__all__ = ["Unhashable", "captured", "digest", "dumps", "freeze", "loads"]
