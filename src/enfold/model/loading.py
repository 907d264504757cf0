"""from_pretrained: config, modules on the meta device, then the checkpoint's tensors one by one."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from enfold.config import Config
from enfold.errors import ArgumentError, ConfigError, FileMissing, InputError, unknown_arguments
from enfold.files import Checkpoint, HubOptions, find, open_checkpoint
from enfold.files.gguf import gguf_path
from enfold.model.base import PreTrainedModel
from enfold.model.quantizing import asked_for, quantizing
from enfold.models.configs import PreTrainedConfig, read_values
from enfold.models.gguf import open_gguf
from enfold.models.registry import get_family
from enfold.quant.config import BitsAndBytesConfig
from enfold.quant.gguf import GGUFQuantizationConfig
from enfold.settings import compat
from enfold.weights.load import Report, Terms, load
from enfold.weights.place.devices import rank_device
from enfold.weights.place.request import Request
from enfold.weights.shard.model import CutHomes, cut_model, in_step, ranks_of
from enfold.weights.single import single_experts

PathLike = str | os.PathLike[str]
NOT_YET = {
    "from_tf": "convert the weights with transformers 4 once",
    "from_flax": "convert the weights with transformers 4 once",
    "adapter_kwargs": "load the base model", "state_dict": "build the model from its config and "
                                                           "call load_state_dict",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What `from_pretrained` was told beside the Hub's options and the config's attributes."""

    config: Any = None
    dtype: torch.dtype | str | None = None
    device_map: Any = None
    max_memory: Any = None
    offload_folder: PathLike | None = None
    offload_state_dict: bool | None = None
    offload_buffers: bool | None = None
    tp_plan: Any = None
    tp_size: int | None = None
    variant: str | None = None
    use_safetensors: bool | None = None
    ignore_mismatched_sizes: bool = False
    output_loading_info: bool = False
    attn_implementation: str | None = None
    add_pooling_layer: bool | None = None
    generation_config: Any = None
    quantization_config: Any = None
    gguf_file: PathLike | None = None
    optimize: bool = True


def from_pretrained(cls: type[PreTrainedModel], name: PathLike, **kwargs: Any) -> Any:
    """A model with the weights of a folder or a Hub repository, in eval mode.

    dtype (or torch_dtype): "auto" (the default: as config.json or the weights say), a torch dtype
    or its name.  device_map: a device ("cpu", "cuda:1", 1), "auto" or "balanced" (all GPUs, within
    what max_memory={0: "10GiB", "cpu": "30GB"} allows), "sequential", "balanced_low_0", or a place
    for each module; see `weights.place`.  Nothing is offloaded unless max_memory names "cpu" beside
    GPUs, or offload_folder is given; buffers go with their block, and no state_dict is ever held.
    tp_plan="auto", under torchrun: each process holds its part of the heads and features, see
    `weights.shard`; all get the first one's random numbers, and have to make the same calls.
    variant: "fp16" for model.fp16.safetensors.  config: a Config to use instead of the file's.
    ignore_mismatched_sizes: initialise tensors of another shape anew.  output_loading_info: return
    (model, info).  quantization_config: store the linear layers in fewer bits
    (BitsAndBytesConfig, ...); load_in_4bit, load_in_8bit and the other arguments of that one may be
    given by themselves; a quantized checkpoint needs neither.  gguf_file: the GGUF file of the
    folder or repository to load (or give its path as the name).  optimize: whether inference on a
    CPU goes through our kernels.  revision, cache_dir, token, local_files_only, subfolder,
    force_download: where the files come from.
    Further arguments set attributes of the config (num_labels=3).

    Raises FileMissing, ConfigError, CheckpointError.
    """
    hub = HubOptions.pop(kwargs)
    options, edits = _split(cls, kwargs)
    gguf = gguf_path(name, options.gguf_file, hub)
    config = _config(cls, gguf or name, hub, options.config, edits)
    config.name_or_path = str(name)
    checkpoint = _open(name, gguf, hub, options, config)
    if gguf and isinstance(options.quantization_config, GGUFQuantizationConfig):
        options = replace(options, quantization_config=None)  # the checkpoint says it now
    untied = get_family(cls.model_type).untied
    if untied and "tie_word_embeddings" not in edits and untied(config, checkpoint.keys()):
        config.tie_word_embeddings = False
    model = cls.__new__(cls)
    if options.attn_implementation:
        config.attn_implementation = options.attn_implementation
    model._build(config, add_pooling_layer=options.add_pooling_layer)
    method = quantizing(config, options.quantization_config)
    if method is not None:
        single_experts(model, checkpoint.keys())
    terms = _terms(model, config, checkpoint, options, edits)
    terms.method = method
    _share(model, options, terms)
    report = load(model, checkpoint, terms)
    _settle(model, config, report, name, options.device_map)
    model.generation_config = options.generation_config or _generation_file(name, hub)
    model.eval().optimize(options.optimize)
    return (model, report.as_info()) if options.output_loading_info else model


def _open(name: PathLike, gguf: Path | None, hub: HubOptions, options: Options,
          config: Config) -> Checkpoint:
    """The weights; of a GGUF file under the family's names."""
    if gguf is None:
        return open_checkpoint(name, hub, variant=options.variant,
                               use_safetensors=options.use_safetensors)
    if options.variant or options.use_safetensors:
        raise ArgumentError(f"from_pretrained: variant= and use_safetensors= do not go with a GGUF "
                            f"file ({gguf}). Do: leave them out")
    dtype = options.dtype if options.dtype not in (None, "auto") else None
    return open_gguf(gguf, config, None if dtype is None else as_dtype(dtype),
                     keep=isinstance(options.quantization_config, GGUFQuantizationConfig))


def _split(cls: type[PreTrainedModel], kwargs: dict[str, Any]) -> tuple[Options, dict[str, Any]]:
    """The options, and the rest, which are edits of the config."""
    if "torch_dtype" in kwargs:
        old = kwargs.pop("torch_dtype")
        if kwargs.setdefault("dtype", old) != old:
            raise ArgumentError(f"from_pretrained: dtype={kwargs['dtype']} and torch_dtype={old} "
                                "differ. "
                                "Do: give one of them")
    kwargs.pop("low_cpu_mem_usage", None)  # always low
    if kwargs.pop("trust_remote_code", None):
        raise NotImplementedError("trust_remote_code=True: enfold runs no code of a "
                                      "checkpoint. "
                                      "Do: leave it out; an unknown model_type raises by itself")
    for name, remedy in NOT_YET.items():
        if kwargs.pop(name, None):
            raise NotImplementedError(f"from_pretrained({name}=...) is not built yet. Do: {remedy}")
    kwargs["quantization_config"] = asked_for(kwargs)
    own = {name: kwargs.pop(name) for name in Options.__slots__ if name in kwargs}
    return Options(**own), kwargs


def _config(cls: type[PreTrainedModel], name: PathLike, hub: HubOptions, given: Any,
            edits: dict[str, Any]) -> Any:
    if isinstance(given, Config):
        config: Any = given
    elif given is not None:
        config = _family_config(cls).of(read_values(given, hub), str(given))
    else:
        config = _family_config(cls).of(read_values(name, hub), str(name))
    known = config.known()
    unknown = [key for key in edits if key not in known]
    if unknown:
        raise unknown_arguments(f"{cls.__name__}.from_pretrained", unknown,
                                (*Options.__slots__, *BitsAndBytesConfig.DEFAULTS,
                                 *HubOptions.__slots__, *known))
    config.update(edits)
    config.name_or_path = str(name)
    return config


def _family_config(cls: type[PreTrainedModel]) -> type[PreTrainedConfig]:
    if not cls.model_type:
        raise ConfigError(f"{cls.__name__} is no model of a family. Do: use AutoModel, or a class "
                          "such as BertModel")
    return cls.config_class  # type: ignore[return-value]


def _terms(model: PreTrainedModel, config: Any, checkpoint: Checkpoint, options: Options,
           edits: dict[str, Any]) -> Terms:
    family = get_family(model.model_type)
    architectures = config.get("architectures") or []
    return Terms(
        title=type(model).__name__, names=model.names, family=family.tables(config),
        prefix=model.prefix, prefixes=family.prefixes(), drop=family.drop,
        exact=family.exact, pieces=model.pieces,
        complete=type(model).__name__ in architectures, tie=edits.get("tie_word_embeddings"),
        ignore_mismatched_sizes=options.ignore_mismatched_sizes,
        dtype=_dtype(options.dtype, config, checkpoint), std=model._std,
        homes=Request(options.device_map, options.max_memory, options.offload_folder).homes,
        measure=options.output_loading_info)


def _share(model: PreTrainedModel, options: Options, terms: Terms) -> None:
    """Make the model this process's part of it, if the processes share one."""
    ranks = ranks_of(options.tp_plan, options.tp_size)
    if options.tp_plan is not None and options.device_map is not None:
        raise ArgumentError("from_pretrained: tp_plan and device_map were both given, and with a "
                            "tp_plan each process has one device. Do: leave device_map out")
    if ranks == 1:
        return
    if terms.method is not None:
        raise NotImplementedError("a quantized model can't be cut over processes. Do: leave "
                                  "tp_plan out, or load it without quantization")
    cut_model(model, ranks)
    in_step()
    model.tp_size = ranks
    terms.homes = lambda built, dtype: CutHomes(rank_device(), built)


def _dtype(wanted: Any, config: Any, checkpoint: Checkpoint) -> torch.dtype:
    if wanted is None:
        wanted = "auto" if compat() == "5" else torch.float32
    if wanted == "auto":
        wanted = config.get("dtype") or _first_dtype(checkpoint)
    return as_dtype(wanted)


def _first_dtype(checkpoint: Checkpoint) -> torch.dtype:
    keys = checkpoint.keys()
    dtypes = (checkpoint.dtype(key) for key in keys)
    return next((dtype for dtype in dtypes if dtype.is_floating_point), torch.float32)


def as_dtype(value: Any) -> torch.dtype:
    """A floating torch dtype from itself or its name ("bfloat16", "torch.float16")."""
    found = value
    if not isinstance(value, torch.dtype):
        found = getattr(torch, str(value).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"dtype is {value!r}, expected 'auto', 'float32', 'bfloat16', 'float16' "
                         "or a floating torch dtype")
    return found


def _settle(model: PreTrainedModel, config: Any, report: Report, name: PathLike,
            device_map: Any) -> None:
    """What the config and the model know once the weights are in."""
    model.name_or_path = str(name)
    model.stored = report.stored
    model.tie_weights()
    if config.get("dtype") is not None:
        config.dtype = model.dtype
    model.placement = report.homes.run(model)
    if device_map is not None:
        model.hf_device_map = report.homes.as_map(model)


def _generation_file(name: PathLike, hub: HubOptions) -> Path | None:
    """generation_config.json, read when it is first asked for."""
    try:
        return find(name, "generation_config.json", hub, required=False)
    except FileMissing:
        return None
