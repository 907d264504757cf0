"""GenerationConfig: the arguments of generate() as an object, and generation_config.json.

The file holds the values that are set and nothing else.  Checkpoints older than the file keep the
same keys in config.json: `from_model_config` reads them.  A value of None means "not set": the
checkpoint's value counts, then the default in `DEFAULTS`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from enfold.errors import unknown_arguments
from enfold.generate import checks

if TYPE_CHECKING:
    from enfold.config import Config

FILE = "generation_config.json"
FORMAT = "5.23.0"  # the transformers release whose file format is written
NESTED = (
    "decoder",
    "generator",
    "text_config",
)  # where composite configs keep their decoder's keys
OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")

DEFAULTS: dict[str, Any] = {
    "max_length": 20, "min_length": 0, "do_sample": False, "num_beams": 1,
    "num_return_sequences": 1, "use_cache": True, "early_stopping": False, "length_penalty": 1.0,
    "temperature": 1.0, "top_k": 50, "top_p": 1.0, "typical_p": 1.0, "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0, "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "remove_invalid_values": False, "renormalize_logits": False, "output_attentions": False,
    "output_hidden_states": False, "output_scores": False, "output_logits": False,
    "return_dict_in_generate": False,
}  # fmt: skip


class GenerationConfig:
    """How to generate.  None leaves a field to the checkpoint, then to `DEFAULTS`.

    An unknown name raises `ArgumentError`, an impossible value `GenerationError`.  Values read from
    a file are kept whatever they are, unknown keys included, and written back.
    """

    # in tokens; max_length and min_length count the (decoder's) prompt
    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    min_new_tokens: int | None = None
    max_time: float | None = None  # seconds
    stop_strings: str | list[str] | None = None
    early_stopping: bool | str | None = None  # beams: True, False (heuristic) or "never" (exact)

    # strategy
    do_sample: bool | None = None
    num_beams: int | None = None
    num_return_sequences: int | None = None
    length_penalty: float | None = None
    use_cache: bool | None = None

    # scores
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    top_h: float | None = None
    typical_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    repetition_penalty: float | None = None
    encoder_repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    encoder_no_repeat_ngram_size: int | None = None
    bad_words_ids: list[list[int]] | None = None
    sequence_bias: Any = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    exponential_decay_length_penalty: tuple[int, float] | None = None
    remove_invalid_values: bool | None = None
    renormalize_logits: bool | None = None

    # what is returned
    return_dict_in_generate: bool | None = None
    output_scores: bool | None = None
    output_logits: bool | None = None
    output_attentions: bool | None = None
    output_hidden_states: bool | None = None

    # special tokens
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | list[int] | None = None

    # read and written, not implemented yet (see checks.LATER)
    cache_implementation: str | None = None
    cache_config: Any = None
    max_cache_len: int | None = None
    return_legacy_cache: bool | None = None
    prefill_chunk_size: int | None = None
    compile_config: Any = None
    disable_compile: bool | None = None
    continuous_batching_config: Any = None
    token_healing: bool | None = None
    guidance_scale: float | None = None
    watermarking_config: Any = None
    low_memory: bool | None = None
    penalty_alpha: float | None = None
    dola_layers: Any = None
    num_beam_groups: int | None = None
    diversity_penalty: float | None = None
    constraints: Any = None
    force_words_ids: Any = None
    use_mtp: bool | None = None
    is_assistant: bool | None = None
    num_assistant_tokens: int | None = None
    num_assistant_tokens_schedule: str | None = None
    assistant_confidence_threshold: float | None = None
    assistant_early_exit: int | None = None
    assistant_lookbehind: int | None = None
    target_lookbehind: int | None = None
    assistant_ensemble_weight: float | None = None
    prompt_lookup_num_tokens: int | None = None
    max_matching_ngram_size: int | None = None
    speculation_type: str | None = None

    # of the file
    transformers_version: str | None = None
    _from_model_config: bool | None = None

    _read: set[str]  # fields as a file has them: nobody chose them for this call

    def __init__(self, **values: Any) -> None:
        unknown = [name for name in values if name not in FIELDS]
        if unknown:
            raise unknown_arguments("GenerationConfig", unknown, FIELDS)
        self.__dict__.update(values, _read=set())
        self.validate()

    def __setattr__(self, name: str, value: Any) -> None:
        self._read.discard(name)
        self.__dict__[name] = value

    # ---- reading ---------------------------------------------------------------------------------
    @classmethod
    def from_pretrained(cls, pretrained_model_name: str | Path, config_file_name: str | None = None,
                        *, return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """The config of a folder or Hub repository.

        kwargs: Hub options (revision, token, cache_dir, ...), and values to set on top.

        With `return_unused_kwargs` a pair: the config, and the arguments that are no fields of it.
        """
        from enfold.files import read_json
        from enfold.files.hub import HubOptions, find

        path = find(pretrained_model_name, config_file_name or FILE, HubOptions.pop(kwargs))
        values = read_json(cast(Path, path))  # a required file is there, or find raised
        if kwargs.pop("_from_model_config", False):
            return cls.from_model_config(values)
        return cls.from_dict(values, return_unused_kwargs=return_unused_kwargs, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], *, return_unused_kwargs: bool = False,
                  **kwargs: Any) -> Any:
        """The config of a parsed file, with `kwargs` on top.  Unknown keys of the file are kept."""
        config = cls()
        edits = {name: kwargs.pop(name) for name in list(kwargs) if name in FIELDS}
        values = {**config_dict, **edits}
        if values.get("_from_model_config"):
            values = {name: value for name, value in values.items() if name in FIELDS}
        config.__dict__.update(copy.deepcopy(values), _read=set(config_dict) - set(edits))
        if return_unused_kwargs:
            return config, kwargs
        if kwargs:
            raise unknown_arguments("GenerationConfig", kwargs, FIELDS)
        return config

    @classmethod
    def from_model_config(cls, model_config: Config | Mapping[str, Any]) -> Self:
        """The generation keys of a config.json, for checkpoints without the file."""
        whole = dict(model_config) if isinstance(model_config, Mapping) else model_config.to_dict()
        inner: Mapping[str, Any] = next(
            (whole[name] for name in NESTED if isinstance(whole.get(name), Mapping)), {}
        )
        values = {name: value for part in (inner, whole) for name, value in part.items()
                  if name in FIELDS and value is not None}
        if whole.get("force_bos_token_to_be_generated"):
            values["forced_bos_token_id"] = values.get("bos_token_id")
        if any(values.get(name) for name in OUTPUTS):
            values["return_dict_in_generate"] = True
        return cls.from_dict({**values, "_from_model_config": True})  # type: ignore[no-any-return]

    # ---- changing --------------------------------------------------------------------------------
    def update(self, defaults_only: bool = False, allow_custom_entries: bool = False,
               **kwargs: Any) -> dict[str, Any]:
        """Set fields (`defaults_only`: those that are None); returns what is no field."""
        unused = {}
        for name, value in kwargs.items():
            if name not in FIELDS and name not in self.__dict__ and not allow_custom_entries:
                unused[name] = value
            elif not defaults_only or getattr(self, name, None) is None:
                setattr(self, name, value)
        self.validate()
        return unused

    def validate(self, strict: bool = False) -> None:
        """Raise `GenerationError` for values out of range; `strict`: also without effect."""
        checks.ranges(self)
        if strict:
            checks.ignored(self, self.chosen())

    def given(self) -> dict[str, Any]:
        """The values that are set, wherever they come from."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if value is not None and name != "_read"
        }

    def chosen(self) -> set[str]:
        """The names that are set and were not just read from a file."""
        return self.given().keys() - self._read

    # ---- writing ---------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """All fields by name, those not set as None."""
        values = dict.fromkeys(FIELDS) | self.given()
        return copy.deepcopy(values | {"transformers_version": self.transformers_version or FORMAT})

    def to_diff_dict(self) -> dict[str, Any]:
        """The values that are set, as the file has them."""
        return {name: value for name, value in self.to_dict().items() if value is not None}

    def to_json_string(self, use_diff: bool = True, ignore_metadata: bool = False) -> str:
        """The file's text."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        values.pop("compile_config", None)
        if isinstance(values.get("sequence_bias"), dict):  # JSON has no tuples for keys
            values["sequence_bias"] = [
                [list(ids), bias] for ids, bias in values["sequence_bias"].items()
            ]
        if ignore_metadata:
            values = {name: value for name, value in values.items() if name not in METADATA}
        return json.dumps(_plain(values), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | Path, use_diff: bool = True) -> None:
        """Write the file's text to a path."""
        Path(json_file_path).write_text(self.to_json_string(use_diff), encoding="utf-8")

    def save_pretrained(self, save_directory: str | Path, config_file_name: str | None = None,
                        push_to_hub: bool = False) -> None:
        """Write generation_config.json into a folder, made if absent."""
        if push_to_hub:
            raise NotImplementedError(
                "GenerationConfig.save_pretrained(push_to_hub=True) is not there yet. "
                "Do: save to a folder, then huggingface_hub.upload_folder"
            )
        self.validate()
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.to_json_file(folder / (config_file_name or FILE))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and _fields(self) == _fields(other)

    def __hash__(self) -> int:
        return hash(self.to_json_string(ignore_metadata=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string(ignore_metadata=True)}"


FIELDS = frozenset(GenerationConfig.__annotations__) - {"_read"}
METADATA = ("transformers_version", "_from_model_config")


def _fields(config: GenerationConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name not in METADATA}


def _plain(value: Any) -> Any:
    """Objects as what their to_dict gives, keys as strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value
