"""`datasets.fingerprint`: `Hasher`, and the decorator that gives a transform its fingerprint."""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from enfold.data.cache import disable_caching, enable_caching, is_caching_enabled
from enfold.data.fingerprint import Unhashable, digest

Method = Callable[..., Any]


class Hasher:
    """Hashes objects by their content: `Hasher.hash(x)`, or `update` and `hexdigest`."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    @classmethod
    def hash_bytes(cls, value: bytes | Iterable[bytes]) -> str:
        """The hash of bytes."""
        parts = [value] if isinstance(value, bytes) else list(value)
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    @classmethod
    def hash(cls, value: Any) -> str:
        """The hash of an object.  Raises `pickle.PicklingError` if it has none."""
        try:
            return digest(value)[:16]
        except Unhashable as error:
            raise pickle.PicklingError(str(error)) from error

    def update(self, value: Any) -> None:
        """Add an object."""
        self.parts.append(f"=={type(value)}=={self.hash(value)}")

    def hexdigest(self) -> str:
        """The hash of all that was added."""
        return self.hash(self.parts)


def generate_fingerprint(dataset: Any) -> str:
    """The fingerprint of a dataset, of its content."""
    return str(dataset._fingerprint)


def update_fingerprint(fingerprint: str, transform: Any, transform_args: Any) -> str:
    """The fingerprint after a transform."""
    return Hasher.hash([fingerprint, transform, dict(transform_args)])


def validate_fingerprint(fingerprint: str, max_length: int = 64) -> None:
    """Raise ValueError for a fingerprint that can't be part of a file name."""
    bad = set('<>:/\\|?*') & set(fingerprint)
    if not fingerprint or bad or len(fingerprint) > max_length:
        raise ValueError(f"fingerprint {fingerprint!r}: expected 1 to {max_length} characters, "
                         "none of them one of <>:/\\|?*")


def fingerprint_transform(inplace: bool, use_kwargs: list[str] | None = None,
                          ignore_kwargs: list[str] | None = None,
                          fingerprint_names: list[str] | None = None,
                          randomized_function: bool = False,
                          version: str | None = None) -> Callable[[Method], Method]:
    """A decorator: a method of a dataset is passed `new_fingerprint`, by its name and arguments."""
    if randomized_function:
        raise NotImplementedError("fingerprint_transform: randomized_function=True is not done. "
                                  "Do: pass new_fingerprint= yourself")
    names = fingerprint_names if fingerprint_names is not None else ["new_fingerprint"]

    def decorate(method: Method) -> Method:
        signature = inspect.signature(method)

        @wraps(method)
        def transform(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind_partial(self, *args, **kwargs).arguments
            used = {name: value for name, value in given.items()
                    if name != "self" and name not in (ignore_kwargs or ())
                    and (use_kwargs is None or name in use_kwargs)}
            found = {name: update_fingerprint(self._fingerprint, f"{method.__qualname__}@{version}",
                                              {**used, "fingerprint_name": name})
                     for name in names}
            if inplace:
                result = method(self, *args, **kwargs)
                self._fingerprint = found[names[0]]
                return result
            missing = {name: value for name, value in found.items() if kwargs.get(name) is None}
            return method(self, *args, **{**kwargs, **missing})

        return transform

    return decorate


__all__ = ["Hasher", "disable_caching", "enable_caching", "fingerprint_transform",
           "generate_fingerprint", "is_caching_enabled", "update_fingerprint",
           "validate_fingerprint"]
