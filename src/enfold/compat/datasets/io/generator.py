"""`datasets.io.generator`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from enfold.data.io.readers import read_generator


class GeneratorDatasetInputStream:
    """Reads the rows that a generator yields."""

    def __init__(self, generator: Callable[..., Any], features: Any = None, cache_dir: Any = None,
                 keep_in_memory: bool = False, streaming: bool = False,
                 gen_kwargs: dict[str, Any] | None = None, num_proc: int | None = None,
                 split: Any = "train", fingerprint: str | None = None, **kwargs: Any) -> None:
        self.arguments = (generator, features, cache_dir, keep_in_memory, gen_kwargs, num_proc,
                          split, fingerprint, kwargs, streaming)

    def read(self) -> Any:
        """The dataset."""
        return read_generator(*self.arguments)
