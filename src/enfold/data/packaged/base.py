"""A format of files as a builder: `enfold.data.sources` reads, the builder writes.

One schema holds for all files of all splits.  Where a late row does not fit what the first ones
showed, reading ends with SchemaGrew, every file is looked at once for the schema that fits all of
them, and the data is prepared again from the start; the log tells what was widened.  A stream goes
on with the wider schema.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, fields
from logging import getLogger
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.builder import ArrowBasedBuilder, BuilderConfig, Key
from enfold.data.datafiles import storage_of
from enfold.data.features import Features
from enfold.data.info import DatasetInfo
from enfold.data.sources import READERS, Position, Reader, SchemaGrew, Source
from enfold.data.sources.blocks import ahead
from enfold.data.sources.opening import DataFile, is_url
from enfold.data.splits import SplitGenerator
from enfold.errors import DataError

_log = getLogger(__name__)
AHEAD = 4 << 20  # bytes read while those before are written
_OWN = {"features", "strict", "columns"}  # fields of a configuration that no reader is given


@dataclass
class SourceConfig(BuilderConfig):
    """features: read the columns as these.  strict: a file whose rows do not fit the columns of
    the first one raises, rather than having them widened."""

    features: Features | None = None
    strict: bool = False


class SourceBuilder(ArrowBasedBuilder):
    """A builder of one format of `enfold.data.sources`.

    FORMAT: its name there.  ARCHIVES: whether the members of an archive are files to read.
    TELLS_FEATURES: whether the first file tells the features without its rows being read.
    """

    BUILDER_CONFIG_CLASS: ClassVar[Any] = SourceConfig
    FORMAT: ClassVar[str] = ""
    ARCHIVES: ClassVar[bool] = True
    TELLS_FEATURES: ClassVar[bool] = False

    _asked: Features | None = None  # by features= or a dataset card
    _known: Features | None = None  # of all rows seen
    _streaming = False

    def _info(self) -> DatasetInfo:
        return DatasetInfo(features=self.config.features)

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        found = self._downloaded(dl_manager)
        self._begin(dl_manager)
        tells = self.TELLS_FEATURES and self.info.features is None
        if self._known is None and (tells or not self._streaming) and self._asked is None:
            self._known = self.source([file for many in found.values() for file in many]).features
        if tells:
            self.info.features = self._known
        self._choose_columns()
        return [SplitGenerator(name, {"files": files}) for name, files in found.items()]

    def _choose_columns(self) -> None:
        """Of the features asked for, keep those of the columns asked for."""
        columns, features = getattr(self.config, "columns", None), self.info.features
        if columns is not None and features is not None and set(columns) != set(features):
            self.info.features = Features({name: features[name] for name in features
                                           if name in columns})

    def _begin(self, dl_manager: Any) -> None:
        self._streaming = bool(getattr(dl_manager, "is_streaming", False))
        if self.info.features is not self._known:
            self._asked = self.info.features

    def _downloaded(self, dl_manager: Any) -> dict[str, list[str]]:
        """{split: paths, or URLs for a stream}.  Raises DataError where none are given."""
        if not self.config.data_files:
            raise DataError(f"At least one data file must be specified, but got "
                            f"data_files={self.config.data_files}. Do: pass data_files= or "
                            f"data_dir=")
        given = {name: list(files) for name, files in self.config.data_files.items()}
        found = dl_manager.download(given)
        return {name: [_unpacked(dl_manager, one, path) if self.ARCHIVES else path
                       for one, path in zip(given[name], paths, strict=True)]
                for name, paths in found.items()}

    def source(self, files: Sequence[str]) -> Source:
        """The files, paths or URLs, as a stream of record batches."""
        return self._source(self._files(files))

    def _files(self, files: Sequence[str]) -> list[DataFile]:
        reader = self._reader()
        return [one for path in files for one in reader.files([path], storage_of(path, self))]

    def _source(self, files: Sequence[DataFile]) -> Source:
        return Source(self._reader(), files, columns=getattr(self.config, "columns", None),
                      features=self._asked, strict=self.config.strict, known=self._known)

    def _reader(self) -> Reader:
        return READERS[self.FORMAT](getattr(self.config, "columns", None), **self._options())

    def _options(self) -> dict[str, Any]:
        """What the configuration says other than the format does by default."""
        base = {field.name for field in fields(BuilderConfig)} | _OWN
        given = {field.name: (field.default, getattr(self.config, field.name))
                 for field in fields(self.config) if field.name not in base}
        return {name: value for name, (default, value) in given.items()
                if value is not default and not (type(value) is type(default) and value == default)}

    def _generate_shards(self, files: Sequence[str]  # type: ignore[override]
                         ) -> Iterator[Any]:
        yield from files

    def _get_examples_iterable_for_split(self, split_generator: SplitGenerator) -> Any:
        """A stream that is resumed in the block where it was, if tables are made of blocks."""
        if type(self)._generate_tables is not SourceBuilder._generate_tables:
            return super()._get_examples_iterable_for_split(split_generator)
        from enfold.data.streaming import arguments
        from enfold.data.streaming.origins import Files

        return Files(tuple(arguments.single(split_generator.gen_kwargs)), self.source)

    def _generate_tables(self, files: Sequence[str]  # type: ignore[override]
                         ) -> Iterator[tuple[Key, pa.Table]]:
        each = [self._files([path]) for path in files]
        shards = [number for number, many in enumerate(each) for _ in many]
        yield from self._tables(self._source([one for many in each for one in many]), shards)

    def _tables(self, source: Source, shards: Sequence[int]) -> Iterator[tuple[Key, pa.Table]]:
        """Its batches; `shards`: the number of the data file that each of its files is from."""
        number = told = 0
        try:
            read = source.positions(grow=self._streaming)
            for position, batch in read if self._streaming else _while_writing(read):
                told += _tell(source.promotions[told:])
                yield Key(shards[position.file], number), pa.Table.from_batches([batch])
                number += 1
        except SchemaGrew as error:
            error.grown = source.features, source.promotions  # type: ignore[attr-defined]
            raise
        if not number:
            yield Key(0, 0), source.schema.empty_table()

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any,
                              **options: Any) -> None:
        before = self.info.features
        try:
            super()._download_and_prepare(dl_manager, verification_mode, **options)
        except Exception as error:
            grown = _growth(error)
            if grown is None:
                raise
            self.info.features = before if before is not self._known else None
            self._known, told = grown.grown  # type: ignore[attr-defined]
            _tell(told)
            _log.info("Reading all files once more, for the columns that fit every row")
            self._settle(dl_manager)
            super()._download_and_prepare(dl_manager, verification_mode, **options)

    def _settle(self, dl_manager: Any) -> None:
        """Find the features that fit every row of every split."""
        source = self._whole(self._split_generators(dl_manager))
        source.settle()
        self._known = source.features
        if self.TELLS_FEATURES:
            self.info.features = self._known
        _tell(source.promotions)

    def _whole(self, splits: Sequence[SplitGenerator]) -> Source:
        """The files of all splits."""
        return self.source([file for split in splits for file in split.gen_kwargs["files"]])


def _while_writing(items: Iterator[tuple[Position, pa.RecordBatch]]
                   ) -> Iterator[tuple[Position, pa.RecordBatch]]:
    """The same, some megabytes of them read in a thread while those before are written."""
    for some in ahead(_together(items)):
        yield from some


def _together(items: Iterator[tuple[Position, pa.RecordBatch]]
              ) -> Generator[list[tuple[Position, pa.RecordBatch]], None, None]:
    held, size = [], 0
    for item in items:
        held.append(item)
        size += item[1].nbytes
        if size >= AHEAD:
            yield held
            held, size = [], 0
    if held:
        yield held


def _tell(promotions: Sequence[str]) -> int:
    for line in promotions:
        _log.warning("A column was widened: %s. Pass strict=True to have this raise", line)
    return len(promotions)


def _growth(error: BaseException | None) -> SchemaGrew | None:
    """The SchemaGrew that an error was caused by."""
    while error is not None and not isinstance(error, SchemaGrew):
        error = error.__cause__ or error.__context__
    return error if hasattr(error, "grown") else None


def _unpacked(dl_manager: Any, given: str, path: str) -> Any:
    """The path; of an archive that was downloaded, and lost its name, the folder of its files."""
    name = str(given).split("?")[0].lower()
    archive = name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))
    lost = archive and not is_url(path) and path != str(given) and "." not in path.rsplit("/")[-1]
    return dl_manager.extract(path) if lost else path


