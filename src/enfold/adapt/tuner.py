"""`peft_model.base_model` for methods that act on layers: the model with its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from enfold.adapt.adapters import Adapters
from enfold.adapt.outer import Outer


class Tuner(Outer):
    """A model with adapters in its layers; `model` is the model, and unknown attributes are its."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.adapters = Adapters.of(model) or Adapters(model)
        self.adapters.wrapped = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        prompt = self.adapters.prompt()
        output = (self.model if prompt is None else prompt.forward)(*args, **kwargs)
        if getattr(output, "loss", None) is not None:
            for penalty in self.adapters.penalties():
                output.loss = output.loss + penalty
        return output

    def update_and_allocate(self, global_step: int) -> None:
        """AdaLoRA: deal out ranks; after each backward, before zero_grad."""
        from enfold.adapt.adalora.ranks import update_and_allocate

        update_and_allocate(self.adapters, global_step)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """The model's generate, with what the active adapter puts before the prompt."""
        prompt: Any = self.adapters.prompt() or self.model
        return prompt.generate(*args, **kwargs)

    @property
    def peft_config(self) -> dict[str, Any]:
        """Adapter -> its configuration."""
        return self.adapters.configs

    @property
    def active_adapters(self) -> list[str]:
        """The names in use."""
        return list(self.adapters.active)

    def merge_adapter(self, adapter_names: Sequence[str] | None = None,
                      safe_merge: bool = False) -> None:
        """Work adapters (by default the active ones) into the base weights."""
        self.adapters.merge(adapter_names, safe=safe_merge)

    def unmerge_adapter(self) -> None:
        """Take merged adapters out of the base weights."""
        self.adapters.unmerge()

    def merge_and_unload(self, progressbar: bool = False, safe_merge: bool = False,
                         adapter_names: Sequence[str] | None = None) -> nn.Module:
        """The base model with the adapters in its weights, which are changed in place.

        safe_merge: raise if a weight would hold inf or nan.  progressbar has no effect: a layer
        takes milliseconds.
        """
        return self.adapters.unload(merge=True, names=adapter_names, safe=safe_merge)

    def unload(self) -> nn.Module:
        """The base model without adapters."""
        return self.adapters.unload()

    def enable_adapter_layers(self) -> None:
        """Use the active adapters again."""
        self.adapters.enabled = True

    def disable_adapter_layers(self) -> None:
        """Be the base model until `enable_adapter_layers`."""
        self.adapters.unmerge()
        self.adapters.enabled = False

    def set_adapter(self, adapter_name: str | Sequence[str], inference_mode: bool = False) -> None:
        """Use and train these adapters."""
        self.adapters.set_active(adapter_name, train=not inference_mode)

    def delete_adapter(self, adapter_name: str) -> None:
        """Take an adapter off."""
        self.adapters.delete(adapter_name)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)
