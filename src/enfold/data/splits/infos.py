"""What is known of a dataset's splits: their sizes and files, before and after it is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from typing import Any

from enfold.data.dicts import ALWAYS, asdict
from enfold.data.sources.splits import ReadInstruction
from enfold.data.splits.files import FileInstructions, make_file_instructions
from enfold.data.splits.names import NamedSplit
from enfold.errors import DataError

_NOT_IN_CARDS = ("shard_lengths", "original_shard_lengths", "dataset_name")


@dataclass(repr=False)
class SplitInfo:
    """A split: its rows, its bytes in Arrow form, and the rows of each of its files.

    shard_lengths: None for one file.  original_shard_lengths: rows of each source file it was made
    from, where there were several.  dataset_name: what its files are named after.
    """

    name: str = field(default="", metadata=ALWAYS)
    num_bytes: int = field(default=0, metadata=ALWAYS)
    num_examples: int = field(default=0, metadata=ALWAYS)
    shard_lengths: list[int] | None = None
    original_shard_lengths: list[int] | None = None
    dataset_name: str | None = field(default=None, metadata=ALWAYS)

    @property
    def file_instructions(self) -> list[dict[str, Any]]:
        """The split's files: {"filename", "skip", "take"}, by `dataset_name`."""
        return _instructions(self.dataset_name, [self], str(self.name)).file_instructions

    def __repr__(self) -> str:
        shown = (f"{one.name}={value!r}" for one in fields(self)
                 if (value := getattr(self, one.name)))
        return f"SplitInfo({', '.join(shown)})"


@dataclass
class SubSplitInfo:
    """What a slice or a sum of splits holds: `info.splits["train[75%:]"]`."""

    instructions: FileInstructions

    @property
    def num_examples(self) -> int:
        """The rows."""
        return self.instructions.num_examples

    @property
    def file_instructions(self) -> list[dict[str, Any]]:
        """The files and rows: {"filename", "skip", "take"}."""
        return self.instructions.file_instructions


class SplitDict(dict[str, SplitInfo]):
    """Splits by name; of slices and sums, such as "train[:10%]+test", a SubSplitInfo."""

    def __init__(self, *args: Any, dataset_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataset_name = dataset_name

    def __getitem__(self, key: Any) -> Any:
        if str(key) in self:
            return super().__getitem__(str(key))
        wanted = key if isinstance(key, ReadInstruction) else str(key)
        return SubSplitInfo(_instructions(self.dataset_name, list(self.values()), wanted))

    def __setitem__(self, key: str, value: SplitInfo) -> None:
        if str(key) != value.name:
            raise DataError(f"Cannot add elem. (key mismatch: '{key}' != '{value.name}')")
        super().__setitem__(str(key), value)

    def add(self, split_info: SplitInfo) -> None:
        """Add a split under its name.  Raises DataError if there is one of that name."""
        if split_info.name in self:
            raise DataError(f"Split {split_info.name} already present")
        split_info.dataset_name = self.dataset_name
        super().__setitem__(split_info.name, split_info)

    @property
    def total_num_examples(self) -> int:
        """The rows of all splits."""
        return sum(split.num_examples for split in self.values())

    @classmethod
    def from_split_dict(cls, split_infos: Any, dataset_name: str | None = None) -> SplitDict:
        """From a list, or a dict, of SplitInfos or their dicts; keys that are no field are left
        out."""
        many = list(split_infos.values()) if isinstance(split_infos, dict) else list(split_infos)
        infos = [_split_info(one) for one in many]
        if dataset_name is None and infos:
            dataset_name = infos[0].dataset_name
        splits = cls(dataset_name=dataset_name)
        for info in infos:
            splits.add(info)
        return splits

    def to_split_dict(self) -> list[SplitInfo]:
        """Copies of the splits, under the names they have here."""
        copies = []
        for name, info in self.items():
            copies.append(deepcopy(info))
            copies[-1].name = name
        return copies

    def copy(self) -> SplitDict:
        """A deep copy."""
        return SplitDict.from_split_dict(self.to_split_dict(), self.dataset_name)

    def _to_yaml_list(self) -> list[dict[str, Any]]:
        return [{key: value for key, value in asdict(info).items() if key not in _NOT_IN_CARDS}
                for info in self.to_split_dict()]

    @classmethod
    def _from_yaml_list(cls, yaml_data: list[Any]) -> SplitDict:
        for one in yaml_data:
            if not isinstance(one, dict) or not {"name", "num_examples", "num_bytes"} <= set(one):
                raise DataError(f"The `splits` field in YAML is malformed or missing the "
                                f"name/num_examples/num_bytes fields: {one!r}")
        return cls.from_split_dict(yaml_data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (dict(self), self.dataset_name)


@dataclass
class SplitGenerator:
    """How a builder makes a split: `gen_kwargs` are the arguments of its `_generate_examples`.

    Lists among them are what several processes share out between them.
    """

    name: str
    gen_kwargs: dict[str, Any] = field(default_factory=dict)
    split_info: SplitInfo = field(init=False)

    def __post_init__(self) -> None:
        self.name = str(NamedSplit(self.name))
        self.split_info = SplitInfo(name=self.name)


def _instructions(name: str | None, infos: list[SplitInfo],
                  wanted: str | ReadInstruction) -> FileInstructions:
    """With the files unnamed where the dataset has no name yet."""
    return make_file_instructions(name or "dataset", infos, wanted)


def _split_info(one: SplitInfo | Mapping[str, Any]) -> SplitInfo:
    if isinstance(one, SplitInfo):
        return one
    names = {each.name for each in fields(SplitInfo)}
    return SplitInfo(**{key: value for key, value in one.items() if key in names})


def _rebuilt(splits: dict[str, SplitInfo], dataset_name: str | None) -> SplitDict:
    return SplitDict(splits, dataset_name=dataset_name)
