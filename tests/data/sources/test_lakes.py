"""Lance datasets and files, Iceberg tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enfold.data.features import Features, Image, Value
from enfold.data.sources import read
from enfold.errors import DataError

from .conftest import rows_of

ROWS = [{"id": i, "text": chr(97 + i), "vector": [.5 * i] * 4} for i in range(4)]
TABLE = pa.Table.from_pylist(ROWS, pa.schema(
    {"id": pa.int64(), "text": pa.string(), "vector": pa.list_(pa.float32(), 4)}))


@pytest.fixture
def lance() -> Any:
    """The package, or a skip."""
    return pytest.importorskip("lance", reason="pylance is not installed ('enfold[lance]')")


def test_a_lance_dataset_is_read_once_whichever_of_its_files_are_given(
        lance: Any, tmp_path: Path) -> None:
    path = tmp_path / "data" / "train.lance"
    path.parent.mkdir()
    lance.write_dataset(TABLE, path, max_rows_per_file=3)
    inner = [one for one in path.rglob("*") if one.is_file()]
    for given in (path, str(path), [path], inner, path.parent):
        source = read("lance", given)
        assert [one.path for one in source.files] == [str(path)]
        assert rows_of(source) == ROWS
    assert source.schema.remove_metadata() == TABLE.schema
    plain = tmp_path / "plain"
    lance.write_dataset(TABLE, plain)
    assert rows_of(read("lance", plain / "_versions" / "1.manifest")) == ROWS


def test_lance_columns_batches_and_resuming(lance: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.lance"
    lance.write_dataset(TABLE, path, max_rows_per_file=3)
    source = read("lance", path, columns=["text", "id"], batch_size=2)
    assert rows_of(source) == [{"text": row["text"], "id": row["id"]} for row in ROWS]
    positions = list(source.positions())
    assert [batch.num_rows for _, batch in positions] == [2, 1, 1]
    for number, (position, _) in enumerate(positions):
        assert [batch for _, batch in source.positions(position)] == [
            batch for _, batch in positions[number:]]
    assert [row["id"] for batch in source.batches(0, 1) for row in batch.to_pylist()] == [1, 2, 3]


def test_lance_files(lance: Any, tmp_path: Path) -> None:
    from lance.file import LanceFileWriter
    path = tmp_path / "a.lance"
    with LanceFileWriter(str(path), TABLE.schema) as writer:
        writer.write_batch(TABLE)
    assert rows_of(read("lance", path)) == ROWS
    assert rows_of(read("lance", path, columns=["id"])) == [{"id": i} for i in range(4)]


def test_lance_shows_media_by_their_first_bytes(lance: Any, tmp_path: Path) -> None:
    table = pa.table({"a": [b"\x89PNG\r\n\x1a\n...", None], "b": [b"xyz", b""]})
    lance.write_dataset(table, tmp_path / "a.lance")
    assert read("lance", tmp_path / "a.lance").features == Features(
        {"a": Image(), "b": Value("binary")})


def test_lance_refuses_revisions_of_the_hub(lance: Any) -> None:
    with pytest.raises(NotImplementedError, match="hf://datasets/a/b@main/c.lance: Lance reads no "
                                                  "revisions of the Hub. Do: "):
        read("lance", "hf://datasets/a/b@main/c.lance").features  # noqa: B018


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    """A catalog of pyiceberg with the table t.rows, or a skip."""
    sql = pytest.importorskip("pyiceberg.catalog.sql", reason="pyiceberg is not installed")
    found = sql.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    found.create_namespace("t")
    table = found.create_table("t.rows", schema=TABLE.schema)
    table.append(TABLE)
    return found


def test_iceberg(catalog: Any) -> None:
    source = read("iceberg", catalog=catalog, table="t.rows")
    assert rows_of(source) == ROWS
    first = catalog.load_table("t.rows").current_snapshot().snapshot_id
    catalog.load_table("t.rows").append(TABLE)
    assert sorted(row["id"] for row in rows_of(source)) == sorted([0, 1, 2, 3] * 2)
    assert rows_of(read("iceberg", catalog=catalog, table="t.rows", snapshot_id=first)) == ROWS
    assert rows_of(read("iceberg", catalog=catalog, table="t.rows", snapshot_id=first,
                        columns=["text"], filters="id > 1")) == [{"text": "c"}, {"text": "d"}]
    small = read("iceberg", catalog=catalog, table="t.rows", batch_size=3)
    positions = list(small.positions())
    assert [batch.num_rows for _, batch in positions] == [3, 1, 3, 1]
    assert [batch for _, batch in small.positions(positions[2][0])] == [
        batch for _, batch in positions[2:]]


@pytest.mark.parametrize("given", [{}, {"table": "a.b"}, {"catalog": 1}])
def test_iceberg_needs_a_catalog_and_a_table(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="iceberg: needs catalog= and table=. Got catalog="):
        read("iceberg", **given)
