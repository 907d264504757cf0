"""Config classes (`BertConfig`, ...), made from the pages, and reading a config of any family."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Self

from enfold.config import Config
from enfold.errors import ConfigError, FileMissing
from enfold.files import HubOptions, find, push_to_hub, read_json, write_json
from enfold.files.gguf import gguf_path
from enfold.models.registry import get_family

PathLike = str | os.PathLike[str]
FILE = "config.json"


class PreTrainedConfig(Config):
    """A Config that knows files.  `BertConfig` and its like inherit this."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, *,
                        return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """Read config.json of a folder or repository; further arguments set attributes.

        With `return_unused_kwargs` arguments that are no attribute come back beside the config.
        """
        options = HubOptions.pop(kwargs)
        values = read_values(pretrained_model_name_or_path, options, kwargs.pop("gguf_file", None))
        config = cls.of(values, str(pretrained_model_name_or_path))
        known = config.known()
        config.update({name: value for name, value in kwargs.items() if name in known})
        unused = {name: value for name, value in kwargs.items() if name not in known}
        if return_unused_kwargs:
            return config, unused
        config.update(unused)
        return config

    @classmethod
    def of(cls, values: dict[str, Any], name: str) -> Self:
        """The config of parsed values; a class of one family refuses those of another."""
        kind = values.get("model_type")
        if cls.model_type and kind and kind != cls.model_type:
            raise ConfigError(f"{name}: config.json is of model_type {kind!r}, expected "
                              f"{cls.model_type!r} for {cls.__name__}. Do: use AutoConfig or the "
                              "Auto classes")
        config = cls.from_dict(values)
        config.name_or_path = name
        return config

    @classmethod
    def from_json_file(cls, path: PathLike) -> Self:
        """The config of one JSON file."""
        return cls.of(read_json(path), str(path))

    def save_pretrained(self, save_directory: PathLike, *, push: bool = False,
                        repo_id: str | None = None, **options: Any) -> None:
        """Write config.json; `push` uploads the folder too."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, self.to_save())
        if push:
            push_to_hub(folder, repo_id or folder.name, **options)


def read_values(name: PathLike, options: HubOptions,
                gguf_file: PathLike | None = None) -> dict[str, Any]:
    """The parsed config.json of a folder or repository, or of the file itself; of a GGUF file, the
    same values from its metadata.
    """
    if gguf := gguf_path(name, gguf_file, options):
        from enfold.models.gguf import config_values

        return config_values(gguf)
    is_file = str(name).endswith(".json") and Path(name).is_file()
    try:
        found = Path(name) if is_file else find(name, FILE, options)
    except FileMissing as error:
        local = isinstance(name, str | os.PathLike) and Path(name).is_dir()
        held = sorted(Path(name).glob("*.gguf")) if local else []
        if not held:
            raise
        raise FileMissing(f"{name}: no {FILE}, but {', '.join(path.name for path in held[:3])}. "
                          f"Do: from_pretrained(..., gguf_file={held[0].name!r})") from error
    return read_json(found)  # type: ignore[arg-type]


@cache
def config_class(model_type: str) -> type[PreTrainedConfig]:
    """The config class of a family."""
    family = get_family(model_type)
    general = PreTrainedConfig.SYNONYMS
    return type(f"{family.title}Config", (PreTrainedConfig,), {
        "model_type": model_type, "DEFAULTS": dict(family.defaults),
        "DERIVED": dict(family.derived),
        "SYNONYMS": {**general, **family.synonyms}, "__module__": "enfold",
        "__doc__": f"The configuration of {family.title} models, with its defaults."})


def auto_config(values: dict[str, Any], name: str) -> PreTrainedConfig:
    """The config of parsed values, in the class of their model_type."""
    kind = values.get("model_type")
    if not kind:
        raise ConfigError(f"{name}: config.json has no model_type, so the family can't be told. "
                          "Do: add it, or load with the family's own class, e.g. BertModel")
    return config_class(kind).of(values, name)
