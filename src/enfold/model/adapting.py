"""Adapters on a model itself, without a PeftModel around it.

    model.add_adapter(LoraConfig(...)); model.load_adapter(folder); model.set_adapter("german")

The names of its parameters stay its own, with the adapters' below its layers; `save_pretrained`
then writes the adapters alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from enfold.errors import InputError
from enfold.files import HubOptions

if TYPE_CHECKING:
    from enfold.adapt import Adapters

log = logging.getLogger("enfold")


class AdapterMixin:
    """What a model can do with adapters."""

    @property
    def adapters(self) -> Adapters | None:
        """The adapters, if there are any."""
        found: Adapters | None = self.__dict__.get("_adapters")
        return found

    def _held(self) -> Adapters:
        if self.adapters is None:
            raise InputError(f"{type(self).__name__} has no adapter. Do: add_adapter(config) or "
                             "load_adapter(folder) before")
        return self.adapters

    @property
    def peft_config(self) -> dict[str, Any]:
        """Adapter -> its configuration."""
        return {} if self.adapters is None else self.adapters.configs

    @property
    def _hf_peft_config_loaded(self) -> bool:
        return bool(self.peft_config)

    def add_adapter(self, adapter_config: Any, adapter_name: str = "default") -> None:
        """Put a new adapter on, use it, and train it and nothing else."""
        self._new_adapter(adapter_config, adapter_name, strict=True)

    def _new_adapter(self, config: Any, name: str, *, strict: bool) -> Adapters:
        from enfold.adapt import Adapters

        adapters = self.adapters or Adapters(cast(nn.Module, self))
        if config.base_model_name_or_path is None:
            config.base_model_name_or_path = getattr(self, "name_or_path", "")
        try:
            adapters.add(name, config, strict=strict)
        except Exception:
            if not adapters.configs:
                del self.__dict__["_adapters"]
            raise
        adapters.set_active(name)
        return adapters

    def load_adapter(self, peft_model_id: str | os.PathLike[str] | None = None,
                     adapter_name: str = "default", *, peft_config: Any = None,
                     adapter_state_dict: Mapping[str, Tensor] | None = None,
                     is_trainable: bool = False, low_cpu_mem_usage: bool = False,
                     adapter_kwargs: Mapping[str, Any] | None = None, **options: Any) -> None:
        """Put an adapter of a folder or Hub repository on, and use it.

        An adapter of this name that is there already takes the file's tensors.  A model without a
        head takes what is not of the head, and says so.  Or give peft_config and adapter_state_dict
        in place of the folder.  is_trainable: go on training it.  revision, token, subfolder,
        cache_dir...: where the files come from, also as adapter_kwargs.  low_cpu_mem_usage has no
        effect: adapters are made at once where they belong.
        """
        from enfold.adapt.files import load_state, read_adapter
        from enfold.adapt.headless import without_head
        from enfold.adapt.labels import name_labels
        from enfold.adapt.model import read_config, refuse

        options |= adapter_kwargs or {}
        where = HubOptions.pop(options)
        refuse("load_adapter", options)
        if peft_model_id is None and (peft_config is None or adapter_state_dict is None):
            raise InputError("load_adapter got no peft_model_id. Do: give a folder or repository, "
                             "or peft_config and adapter_state_dict")
        state = adapter_state_dict
        if peft_model_id is not None:
            peft_config = peft_config or read_config(peft_model_id, where)
            state = read_adapter(peft_model_id, where)
        peft_config, state, left = without_head(self, peft_config, state or {})
        if left:
            log.warning("%s: %s left out, of a head that a %s does not have", peft_model_id,
                        ", ".join(left), type(self).__name__)
        if fresh := adapter_name not in self.peft_config:
            peft_config.inference_mode = not is_trainable
            self._new_adapter(peft_config, adapter_name, strict=False)
        try:
            load_state(self._held(), adapter_name, state, str(peft_model_id))
        except Exception:
            if fresh:
                self.delete_adapter(adapter_name)
            raise
        if peft_model_id is not None:
            name_labels(self, peft_model_id, where)

    def set_adapter(self, adapter_name: str | Sequence[str]) -> None:
        """Use and train this adapter, or these."""
        self._held().set_active(adapter_name)

    def active_adapters(self) -> list[str]:
        """The adapters in use."""
        return list(self._held().active)

    def active_adapter(self) -> str:
        """The first adapter in use."""
        return self._held().active[0]

    def disable_adapters(self) -> None:
        """Be the model without adapters until `enable_adapters`."""
        self._held().enabled = False

    def enable_adapters(self) -> None:
        """Use the adapters again."""
        self._held().enabled = True

    def delete_adapter(self, adapter_names: str | Sequence[str]) -> None:
        """Take adapters off."""
        for name in (adapter_names,) if isinstance(adapter_names, str) else adapter_names:
            self._held().delete(name)
        if not self.peft_config:
            self._held().unload()

    def get_adapter_state_dict(self, adapter_name: str | None = None) -> dict[str, Tensor]:
        """Name in a file -> tensor of an adapter, by default the one in use."""
        from enfold.adapt.files import adapter_state

        return adapter_state(self._held(), adapter_name or self.active_adapter())
