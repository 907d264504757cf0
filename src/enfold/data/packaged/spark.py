"""A Spark DataFrame: its partitions as shards, fetched one after another as Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.builder import ArrowBasedBuilder, BuilderConfig, Key
from enfold.data.features import Features, cast_table
from enfold.data.info import DatasetInfo
from enfold.data.splits import NamedSplit, Split, SplitGenerator
from enfold.lazy import require


@dataclass
class SparkConfig(BuilderConfig):
    """features: read the columns as these.  split: the name of the only split."""

    features: Features | None = None
    split: NamedSplit = Split.TRAIN


class Spark(ArrowBasedBuilder):
    """What `Dataset.from_spark` runs.

    df: a pyspark.sql.DataFrame; its plan (`semanticHash()`) is what a result is found again by.
    working_dir: not needed, since the rows come through the driver.
    """

    BUILDER_CONFIG_CLASS: ClassVar[Any] = SparkConfig

    def __init__(self, df: Any, cache_dir: str | None = None, working_dir: str | None = None,
                 **config_kwargs: Any) -> None:
        self.df, self.working_dir = df, working_dir
        super().__init__(cache_dir=cache_dir, config_name=str(df.semanticHash()), **config_kwargs)

    def _info(self) -> DatasetInfo:
        return DatasetInfo(features=self.config.features)

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        partitions = list(range(self.df.rdd.getNumPartitions()))
        return [SplitGenerator(self.config.split, {"partitions": partitions})]

    def _generate_shards(self, partitions: Sequence[int]  # type: ignore[override]
                         ) -> Iterator[Any]:
        for partition in partitions:
            yield {"partition": partition}

    def _generate_tables(self, partitions: Sequence[int]  # type: ignore[override]
                         ) -> Iterator[tuple[Key, pa.Table]]:
        number_of = require("pyspark.sql.functions", "spark").spark_partition_id
        for shard, partition in enumerate(partitions):
            table = _fetched(self.df.where(number_of() == partition))
            if self.config.features is not None:
                table = cast_table(table, self.config.features)
            yield Key(shard, 0), table


def _fetched(df: Any) -> pa.Table:
    """The rows of a DataFrame; Spark 3 has no public name for this."""
    if hasattr(df, "toArrow"):
        return df.toArrow()
    batches = df._collect_as_arrow()
    empty = require("pyspark.sql.pandas.types", "spark").to_arrow_schema(df.schema)
    return pa.Table.from_batches(batches) if batches else empty.empty_table()
