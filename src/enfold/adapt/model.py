"""PeftModel: a base model with adapters, as peft presents it.

    model = get_peft_model(base, LoraConfig(target_modules=["q_proj", "v_proj"]))
    model.save_pretrained(folder)                      # the adapter alone, a few MB
    model = PeftModel.from_pretrained(base, folder)
    base = model.merge_and_unload()

base_model.model is the base model; attributes that PeftModel has not are its.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from torch import nn

from enfold.adapt.adapters import Adapters
from enfold.adapt.config import PeftConfig, TaskType
from enfold.adapt.files import load_state, read_adapter
from enfold.adapt.kept import head_names
from enfold.adapt.labels import name_labels
from enfold.adapt.outer import Outer
from enfold.adapt.saving import save_adapters
from enfold.adapt.tuner import Tuner
from enfold.adapt.weighted import add_weighted_adapter
from enfold.errors import InputError
from enfold.files import HubOptions
from enfold.nn.quantized import QuantizedLinear

PathLike = str | os.PathLike[str]


class PeftModel(Outer):
    """A base model with adapters; see the subclasses for what a task adds."""

    task: ClassVar[TaskType | None] = None
    heads: ClassVar[tuple[str, ...]] = ()  # layers that the task trains whole, where there are such
    kinds: ClassVar[dict[Any, type[PeftModel]]] = {}  # task -> class

    def __init_subclass__(cls) -> None:
        if cls.task is not None:
            PeftModel.kinds.setdefault(cls.task, cls)

    def __init__(self, model: nn.Module, peft_config: PeftConfig, adapter_name: str = "default",
                 **options: Any) -> None:
        super().__init__()
        self.base_model = Tuner(model)
        self.training = self.base_model.training = model.training
        self.add_adapter(adapter_name, peft_config, **options)
        self.set_adapter(adapter_name)

    def forward(self, *args: Any, adapter_names: Sequence[str] | None = None,
                **kwargs: Any) -> Any:
        """The base model's forward.  adapter_names: an adapter for each row of the batch."""
        with self._rows(adapter_names):
            return self.base_model(*args, **kwargs)

    def generate(self, *args: Any, adapter_names: Sequence[str] | None = None,
                 **kwargs: Any) -> Any:
        """The base model's generate.  adapter_names: an adapter for each row of the batch."""
        with self._rows(adapter_names):
            return self.base_model.generate(*args, **kwargs)  # type: ignore[operator, union-attr]

    @contextmanager
    def _rows(self, names: Sequence[str] | None) -> Iterator[None]:
        if names is None:
            yield
            return
        if self.training:
            raise InputError("adapter_names in training: expected eval mode. Do: model.eval(), or "
                             "train the adapters one at a time with set_adapter")
        for name in set(names) - {"__base__"}:
            self.adapters.check(name)
        with self.adapters.rows.use(names):
            yield

    # ---- adapters --------------------------------------------------------------------------------
    @property
    def adapters(self) -> Adapters:
        """What holds the adapters."""
        return self.base_model.adapters  # type: ignore[no-any-return, union-attr]

    @property
    def peft_config(self) -> dict[str, Any]:
        """Adapter -> its configuration."""
        return self.adapters.configs

    @property
    def active_adapters(self) -> list[str]:
        """The names in use."""
        return list(self.adapters.active)

    @property
    def active_adapter(self) -> str:
        """The first of the names in use."""
        return self.adapters.active[0]

    @property
    def active_peft_config(self) -> Any:
        """The configuration of the first adapter in use."""
        return self.peft_config[self.active_adapter]

    def add_adapter(self, adapter_name: str, peft_config: PeftConfig,
                    low_cpu_mem_usage: bool = False, autocast_adapter_dtype: bool = True,
                    strict: bool = True) -> None:
        """Put another adapter onto the model; it is used after `set_adapter`.

        strict: each pattern of target_modules has to fit a layer.
        autocast_adapter_dtype=False gives it the base model's type instead of 32 bits.
        low_cpu_mem_usage has no effect: adapters are made at once where they belong.
        """
        if self.heads and strict and hasattr(peft_config, "modules_to_save"):
            held = peft_config.modules_to_save or []
            heads = head_names(self.get_base_model(), self.heads)
            peft_config.modules_to_save = [*held, *(n for n in heads if n not in held)]
        if peft_config.base_model_name_or_path is None:
            name = getattr(self.get_base_model(), "name_or_path", "")
            peft_config.base_model_name_or_path = name if isinstance(name, str) else ""
        self.adapters.add(adapter_name, peft_config, strict=strict, optional=self.heads)
        if self.adapters.prompts:
            self.prompt_encoder = self.adapters.prompts
        if not autocast_adapter_dtype:
            self.adapters.cast_as_base(adapter_name)

    def set_adapter(self, adapter_name: str | Sequence[str], inference_mode: bool = False) -> None:
        """Use and train this adapter."""
        self.adapters.set_active(adapter_name, train=not inference_mode)

    def set_requires_grad(self, adapter_names: str | Sequence[str],
                          requires_grad: bool = True) -> None:
        """Train adapters, or not."""
        for name in (adapter_names,) if isinstance(adapter_names, str) else adapter_names:
            self.adapters.require_grad(name, requires_grad)

    def delete_adapter(self, adapter_name: str) -> None:
        """Take an adapter off."""
        self.adapters.delete(adapter_name)

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Run what is inside as the base model."""
        with self.adapters.disabled():
            yield

    def add_weighted_adapter(self, adapters: Sequence[str], weights: Sequence[float],
                             adapter_name: str, **options: Any) -> None:
        """A new adapter out of others; see `enfold.adapt.weighted.add_weighted_adapter`."""
        add_weighted_adapter(self.adapters, adapters, weights, adapter_name, **options)

    # ---- files -----------------------------------------------------------------------------------
    def save_pretrained(self, save_directory: PathLike, **options: Any) -> None:
        """Write the adapters alone; see `enfold.adapt.saving.save_adapters`."""
        save_adapters(self.adapters, save_directory, **options)

    @classmethod
    def from_pretrained(cls, model: nn.Module, model_id: PathLike, adapter_name: str = "default",
                        is_trainable: bool = False, config: PeftConfig | None = None,
                        autocast_adapter_dtype: bool = True, low_cpu_mem_usage: bool = False,
                        **kwargs: Any) -> Any:
        """A base model with an adapter of a folder or Hub repository, in eval mode.

        is_trainable: go on training it.  config: instead of the file's.  revision, cache_dir,
        token, subfolder, local_files_only: where the files come from.
        """
        where = HubOptions.pop(kwargs)
        refuse(f"{cls.__name__}.from_pretrained", kwargs)
        config = read_config(model_id, where) if config is None else config
        config.inference_mode = not is_trainable
        kind = cls if cls is not PeftModel else PeftModel.kinds.get(config.task_type, PeftModel)
        made = kind(model, config, adapter_name, strict=False,
                    autocast_adapter_dtype=autocast_adapter_dtype)
        try:
            load_state(made.adapters, adapter_name, read_adapter(model_id, where), str(model_id))
        except Exception:
            made.adapters.unload()
            raise
        name_labels(model, model_id, where)
        return made.train(is_trainable)

    def load_adapter(self, model_id: PathLike, adapter_name: str, is_trainable: bool = False,
                     autocast_adapter_dtype: bool = True, low_cpu_mem_usage: bool = False,
                     **kwargs: Any) -> None:
        """Put an adapter of a folder or Hub repository beside those the model has.

        An adapter of this name that is there already takes the file's tensors.
        """
        where = HubOptions.pop(kwargs)
        refuse("load_adapter", kwargs)
        if fresh := adapter_name not in self.peft_config:
            config = read_config(model_id, where)
            config.inference_mode = not is_trainable
            self.add_adapter(adapter_name, config, strict=False,
                             autocast_adapter_dtype=autocast_adapter_dtype)
        try:
            load_state(self.adapters, adapter_name, read_adapter(model_id, where), str(model_id))
        except Exception:
            if fresh:
                self.adapters.delete(adapter_name)
            raise
        name_labels(self.get_base_model(), model_id, where)

    # ---- what it is ------------------------------------------------------------------------------
    def get_base_model(self) -> nn.Module:
        """The model that the adapters are on."""
        return self.base_model.model  # type: ignore[no-any-return, union-attr]

    def get_nb_trainable_parameters(self) -> tuple[int, int]:
        """(numbers that are trained, all numbers, of quantized layers those they stand for)."""
        held = [p for p in self.parameters() if p.is_floating_point()]
        stored = sum(layer.in_features * layer.out_features for layer in self.modules()
                     if isinstance(layer, QuantizedLinear))
        return (sum(p.numel() for p in held if p.requires_grad),
                stored + sum(p.numel() for p in held))

    def print_trainable_parameters(self) -> None:
        """Print how much is trained."""
        trained, held = self.get_nb_trainable_parameters()
        print(f"trainable params: {trained:,d} || all params: {held:,d} || "
              f"trainable%: {100 * trained / held:.4f}")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_model":
                raise
            return getattr(self.base_model, name)


def refuse(function: str, unknown: dict[str, Any]) -> None:
    """Raise if there are arguments left."""
    from enfold.errors import unknown_arguments

    if unknown:
        raise unknown_arguments(function, unknown, HubOptions.__dataclass_fields__)


def read_config(model_id: PathLike, where: HubOptions) -> PeftConfig:
    """adapter_config.json of a folder or Hub repository."""
    from dataclasses import asdict

    return PeftConfig.from_pretrained(model_id, **asdict(where))  # type: ignore[no-any-return]
