"""A Python generator of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from enfold.data.builder import BuilderConfig, GeneratorBasedBuilder, Key
from enfold.data.features import Features
from enfold.data.info import DatasetInfo
from enfold.data.splits import NamedSplit, Split, SplitGenerator
from enfold.data.streaming import arguments
from enfold.errors import DataError


@dataclass
class GeneratorConfig(BuilderConfig):
    """generator: called with gen_kwargs, yields rows as dicts.

    gen_kwargs: lists among them are parted between processes, all of one length.
    """

    generator: Callable[..., Any] | None = None
    gen_kwargs: dict[str, Any] | None = None
    features: Features | None = None
    split: NamedSplit = Split.TRAIN

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generator is None:
            raise DataError("generator must be specified. Got None. Expected a function that "
                            "yields rows as dicts")
        if not callable(self.generator):
            raise TypeError(f"generator must be callable, but got "
                            f"{type(self.generator).__name__}. Do: pass the function itself, or "
                            f"for data at hand use Dataset.from_list() or from_dict()")
        self.gen_kwargs = {} if self.gen_kwargs is None else self.gen_kwargs


class Generator(GeneratorBasedBuilder):
    """What `Dataset.from_generator` runs."""

    BUILDER_CONFIG_CLASS: ClassVar[Any] = GeneratorConfig

    def _info(self) -> DatasetInfo:
        return DatasetInfo(features=self.config.features)

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        return [SplitGenerator(self.config.split, self.config.gen_kwargs)]

    def _generate_examples(self, **gen_kwargs: Any) -> Iterator[tuple[Key, Any]]:
        for shard, part in enumerate(arguments.single(gen_kwargs)):
            for number, row in enumerate(self.config.generator(**part)):
                yield Key(shard, number), row
