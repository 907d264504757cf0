"""Files written for a test, what our sources make of them and what `datasets` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enfold.data.sources import Source, read

Rows = list[dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file of this name below a temporary folder."""
    def writer(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


def rows_of(source: Source) -> Rows:
    """All rows, with the schema that fits them all."""
    return [row for batch in source.consume(list) for row in batch.to_pylist()]


def loaded(fmt: str, files: Any, **options: Any) -> tuple[pa.Schema, Rows]:
    """Schema and rows by our sources."""
    source = read(fmt, files, **options)
    rows = rows_of(source)
    return source.schema.remove_metadata(), rows


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[pa.Schema, Rows]]:
    """Schema and rows by `datasets.load_dataset`, or a skip."""
    datasets = pytest.importorskip("datasets", reason="datasets, the oracle, is not installed")
    datasets.disable_progress_bars()
    cache = tmp_path_factory.mktemp("oracle")

    def load(fmt: str, files: Any, **options: Any) -> tuple[pa.Schema, Rows]:
        many = [str(one) for one in (files if isinstance(files, list) else [files])]
        ds = datasets.load_dataset(fmt, data_files=many, split="train", cache_dir=str(cache),
                                   **options)
        return ds.data.schema.remove_metadata(), ds.data.to_pylist()

    return load
