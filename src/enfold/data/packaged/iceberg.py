"""Apache Iceberg: tables of a catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.builder import Key
from enfold.data.features import Features
from enfold.data.packaged.base import SourceBuilder, SourceConfig
from enfold.data.sources import READERS, Source
from enfold.data.sources.opening import DataFile
from enfold.data.splits import SplitGenerator
from enfold.errors import DataError


@dataclass
class IcebergConfig(SourceConfig):
    """catalog: of pyiceberg.  table: "db.table", or {split: its table}.  columns: read only these.

    filters: "a > 1 AND b = 'x'" or an expression of pyiceberg.  snapshot_id: an older version.
    """

    catalog: Any = None
    table: str | dict[str, str] | None = None
    columns: list[str] | None = None
    filters: Any = None
    snapshot_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("catalog", "table"):
            if getattr(self, name) is None:
                raise DataError(f"iceberg: {name} must be specified. Got None")
        if isinstance(self.table, str):
            self.table = {"train": self.table}
        if self.name == "default":
            self.name = "_".join([_called(self.catalog), *sorted((self.table or {}).values())])

    def create_config_id(self, config_kwargs: dict[str, Any],
                         custom_features: Features | None = None) -> str:
        """With the catalog by its name: what it holds can't be hashed."""
        given = dict(config_kwargs)
        if (catalog := given.pop("catalog", None)) is not None:
            given["_catalog_id"] = _called(catalog)
        if (filters := given.pop("filters", None)) is not None:
            given["_filters_repr"] = repr(filters)
        return str(super().create_config_id(given, custom_features))


class Iceberg(SourceBuilder):
    """`load_dataset("iceberg", catalog=..., table=...)`."""

    BUILDER_CONFIG_CLASS = IcebergConfig
    FORMAT: ClassVar[str] = "iceberg"
    TELLS_FEATURES: ClassVar[bool] = True

    def _downloaded(self, dl_manager: Any) -> dict[str, list[str]]:
        return {split: [table] for split, table in self.config.table.items()}

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        return [SplitGenerator(split.name, {"tables": split.gen_kwargs["files"]})
                for split in super()._split_generators(dl_manager)]

    def source(self, files: Sequence[str]) -> Source:
        """The first of the tables: those of all splits have the same columns."""
        reader = READERS[self.FORMAT](self.config.columns, **self._options() | {
            "table": files[0], "catalog": self.config.catalog})
        return Source(reader, [DataFile(f"iceberg {files[0]}")], columns=self.config.columns,
                      features=self._asked, strict=self.config.strict, known=self._known)

    def _whole(self, splits: Sequence[SplitGenerator]) -> Source:
        return self.source([table for split in splits for table in split.gen_kwargs["tables"]])

    def _generate_shards(self, tables: Sequence[str]) -> Iterator[Any]:  # type: ignore[override]
        yield from tables

    def _generate_tables(self, tables: Sequence[str]  # type: ignore[override]
                         ) -> Iterator[tuple[Key, pa.Table]]:
        for shard, table in enumerate(tables):
            yield from self._tables(self.source([table]), [shard])


def _called(catalog: Any) -> str:
    return f"{type(catalog).__name__}_{catalog.name}"
