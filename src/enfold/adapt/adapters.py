"""The adapters of a model: which there are, which are active, what is trained.

`PeftModel` and `model.add_adapter` both speak to this.  Where the adapters sit is in `layers`, so
that switching one costs nothing for the others.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from enfold.adapt.config import LayerConfig, PeftConfig, PeftType
from enfold.adapt.kept import Kept, find_kept
from enfold.adapt.layer import Adapted
from enfold.adapt.parameters import find_parameters
from enfold.adapt.prompts.run import Prompt, make_tokens
from enfold.adapt.registry import get_method
from enfold.adapt.rows import Rows
from enfold.adapt.stacked import AdaptedParameter, nested
from enfold.adapt.targets import find_targets, place
from enfold.errors import InputError, nearest
from enfold.nn.quantized import QuantizedLinear

log = logging.getLogger("enfold")


class Adapters:
    """Adapters on a model; `of(model)` finds those that it has."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.configs: dict[str, Any] = {}
        self.layers: dict[str, Adapted] = {}
        self.kept: dict[str, Kept] = {}
        self.prompts = nn.ModuleDict()  # virtual tokens of the methods on the inputs
        self.shared: dict[str, dict[str, Tensor]] = {}  # adapter -> what its layers share
        self.wrapped = False  # whether something around the model can add to its inputs
        self.active: tuple[str, ...] = ()
        self.enabled = True
        self.rows = Rows()
        self.stepped: set[str] = set()  # adapters whose step of training somebody has made
        model.__dict__["_adapters"] = self

    @classmethod
    def of(cls, model: nn.Module) -> Adapters | None:
        """The adapters of a model, if it has any."""
        return model.__dict__.get("_adapters")

    # ---- adding and removing ---------------------------------------------------------------------
    def add(self, name: str, config: PeftConfig, *, strict: bool = True,
            optional: Iterable[str] = ()) -> None:
        """Put an adapter onto the model; it is neither used nor trained before `set_active`.

        strict: each pattern of target_modules and name of modules_to_save has to fit; a file's need
        not, as its tensors have to.  optional: names of modules_to_save that need not.
        """
        self._check_name(name)
        if getattr(self.model, "tp_size", None):
            raise NotImplementedError("adapters on a model that processes share (tp_plan) are not "
                                      "built. Do: load it without tp_plan")
        if config.is_prompt_learning and not self.wrapped:
            raise InputError(f"{type(config).__name__} acts on the inputs, not on layers. Do: use "
                             "get_peft_model")
        kinds = {config.peft_type, *(other.peft_type for other in self.configs.values())}
        if kinds >= {PeftType.LORA, PeftType.ADALORA}:
            raise InputError("LoRA and AdaLoRA on one model: their parts have the same names. Do: "
                             "delete_adapter the one before adding the other")
        method, whole = get_method(config.peft_type), getattr(config, "modules_to_save", None)
        layered = isinstance(config, LayerConfig)
        stacks = find_parameters(self.model, config) if layered else {}
        found = (find_targets(self.model, config, method, strict=strict)  # type: ignore[arg-type]
                 if layered and not (stacks and not config.target_modules) else {})  # type: ignore[attr-defined]
        kept = find_kept(self.model, whole or [], frozenset(optional if strict else whole or ()))
        if config.is_prompt_learning:
            self.prompts[name] = make_tokens(self.model, config, method.tokens)
        if method.shared is not None:
            self.shared[name] = method.shared(config, found)
        self.configs[name] = config
        for path, module in found.items():
            layer = self._layer(path, module)
            layer.deltas[name] = method.build(layer, name, config, path)  # type: ignore[misc]
        for path, parameters in stacks.items():
            for layer in self._stacks(path, parameters):
                layer.deltas[name] = method.stacked(layer, name, config,  # type: ignore[misc]
                                                    f"{path}.{layer.parameter}")
        for path, module in kept.items():
            self._kept(path, module).add(name)
        self._train(name, False)

    def _layer(self, path: str, module: nn.Module) -> Adapted:
        if path not in self.layers:
            self.layers[path] = module if isinstance(module, Adapted) else Adapted(module, self)
            place(self.model, path, self.layers[path])
        return self.layers[path]

    def _stacks(self, path: str, parameters: list[str]) -> list[AdaptedParameter]:
        """The layers of a module's parameters, the inner ones first."""
        made = nested(self, path, self.model.get_submodule(path), parameters,
                      lambda outer: place(self.model, path, outer))
        self.layers |= made
        return list(made.values())

    def _kept(self, path: str, module: nn.Module) -> Kept:
        if path not in self.kept:
            self.kept[path] = Kept(module, self)
            place(self.model, path, self.kept[path])
        return self.kept[path]

    def delete(self, name: str) -> None:
        """Take an adapter off; the layers that no adapter needs become what they were."""
        self.check(name)
        for path, layer in list(self.layers.items()):
            if name not in layer.deltas:
                continue
            if name in layer.merged:
                raise InputError(f"adapter {name!r} is merged. Do: unmerge_adapter() before")
            layer.deltas.pop(name).drop()
            if not layer.deltas:
                place(self.model, path, self.layers.pop(path).base_layer)
        for path, keeper in list(self.kept.items()):
            if name in keeper.modules_to_save:
                del keeper.modules_to_save[name]
                if not len(keeper.modules_to_save):
                    place(self.model, path, self.kept.pop(path).original_module)
        if name in self.prompts:
            del self.prompts[name]
        self.shared.pop(name, None)
        del self.configs[name]
        left = tuple(other for other in self.active if other != name)
        self.set_active(left or tuple(self.configs)[:1])

    def unload(self, *, merge: bool = False, names: Sequence[str] | None = None,
               safe: bool = False) -> nn.Module:
        """The base model without adapters, with the active ones (or `names`) in its weights."""
        if merge:
            self.merge(names, safe=safe)
        for path, layer in self.layers.items():
            if not merge:
                layer.unmerge()
            place(self.model, path, layer.base_layer)
        for path, keeper in self.kept.items():
            place(self.model, path, keeper.active() if merge else keeper.original_module)
        self.model.__dict__.pop("_adapters", None)
        return self.model

    def cast_as_base(self, name: str) -> None:
        """Give an adapter's tensors the type of the weights they belong to."""
        for layer in self.layers.values():
            if name in layer.deltas:
                for parameter in layer.deltas[name].parameters():
                    parameter.data = parameter.data.to(layer.dtype)
        if name in self.prompts:
            self.prompts[name].to(next(self.model.parameters()).dtype)

    # ---- choosing --------------------------------------------------------------------------------
    def set_active(self, names: str | Sequence[str], *, train: bool = True) -> None:
        """Use these adapters, and with `train` train them and nothing else."""
        chosen = (names,) if isinstance(names, str) else tuple(names)
        for name in chosen:
            self.check(name)
        self.active = chosen
        for layer in self.layers.values():
            if set(layer.merged) - set(chosen):
                layer.unmerge()
        self.freeze()
        for name in chosen if train else ():
            if not self.configs[name].inference_mode:
                self.require_grad(name)

    def freeze(self) -> None:
        """Train nothing."""
        for parameter in (*self.model.parameters(), *self.prompts.parameters()):
            parameter.requires_grad_(False)

    def require_grad(self, name: str, wanted: bool = True) -> None:
        """Train an adapter's tensors, and the biases that its configuration names."""
        self.check(name)
        self._train(name, wanted)
        for _, bias in self.biases(name):
            bias.requires_grad_(wanted)

    def _train(self, name: str, wanted: bool) -> None:
        for layer in self.layers.values():
            for parameter in layer.deltas[name].parameters() if name in layer.deltas else ():
                parameter.requires_grad_(wanted)
        for keeper in self.kept.values():
            if name in keeper.modules_to_save:
                keeper.modules_to_save[name].requires_grad_(wanted)
        if name in self.prompts:
            self.prompts[name].requires_grad_(wanted)

    def prompt(self) -> Prompt | None:
        """What the active adapter puts before the inputs, if it does."""
        names = [name for name in self.active if name in self.prompts] if self.enabled else []
        if len(names) > 1 or (names and self.rows.get() is not None):
            raise InputError(f"the adapters {', '.join(names)} put tokens before the inputs: "
                             "expected one of them, for all rows of a batch. Do: set_adapter to "
                             "one")
        if not names:
            return None
        return Prompt(self.model, self.configs[names[0]], self.prompts[names[0]])  # type: ignore[arg-type]

    def penalties(self) -> Iterator[Tensor]:
        """What active adapters that are trained add to the loss."""
        for name in self.active if self.enabled else ():
            config, penalty = self.configs[name], get_method(self.configs[name].peft_type).penalty
            if penalty is not None and not config.inference_mode:
                yield penalty(self.deltas(name))

    def deltas(self, name: str) -> list[Any]:
        """What an adapter adds, layer by layer."""
        return [layer.deltas[name] for layer in self.layers.values() if name in layer.deltas]

    def biases(self, name: str) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, parameter) of the base model's biases that an adapter trains."""
        kind = getattr(self.configs[name], "bias", "none")
        if kind == "all":
            own = {id(p) for layer in self.layers.values() for delta in layer.deltas.values()
                   for _, p in delta.tensors()}
            for path, parameter in self.model.named_parameters():
                if path.rpartition(".")[2] == "bias" and id(parameter) not in own:
                    yield path, parameter
        elif kind.endswith("_only"):
            for path, layer in self.layers.items():
                if name in layer.deltas and layer.base_layer.bias is not None:
                    yield f"{path}.base_layer.bias", layer.base_layer.bias  # type: ignore[misc]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Run what is inside as the base model."""
        merged = {path: tuple(layer.merged) for path, layer in self.layers.items()}
        before, self.enabled = self.enabled, False
        for layer in self.layers.values():
            layer.unmerge()
        try:
            yield
        finally:
            self.enabled = before
            for path, names in merged.items():
                self.layers[path].merge(names)

    def check(self, name: str) -> None:
        """Raise unless there is such an adapter."""
        if name not in self.configs:
            raise InputError(f"there is no adapter {name!r}{nearest(name, self.configs)}, expected "
                             f"one of {', '.join(self.configs) or 'none'}. Do: add or load it")

    def _check_name(self, name: str) -> None:
        if name in self.configs:
            raise InputError(f"there is an adapter {name!r} already. Do: give another name, or "
                             "delete_adapter before")
        if not name or "." in name or hasattr(nn.ModuleDict, name) \
                or hasattr(nn.ParameterDict, name):
            raise InputError(f"an adapter can't be called {name!r}: expected a name without dots "
                             "that no module has as an attribute. Do: give another one")

    # ---- merging ---------------------------------------------------------------------------------
    def merge(self, names: Sequence[str] | None = None, *, safe: bool = False) -> None:
        """Work adapters (by default the active ones) into the base weights, layer by layer."""
        chosen = self.active if names is None else (names,) if isinstance(names, str) else \
            tuple(names)
        for name in chosen:
            self.check(name)
            if name in self.prompts:
                raise NotImplementedError(f"adapter {name!r} puts tokens before the inputs and "
                                          "can't be merged into weights. Do: keep the adapter")
        for layer in self.layers.values():
            layer.check_merge(chosen)
        shared = Counter(id(weight) for module in self.model.modules()
                         if isinstance(weight := module._parameters.get("weight"), nn.Parameter))
        stored = [layer for layer in self.layers.values() if set(chosen) & set(layer.deltas)
                  and isinstance(layer.base_layer, QuantizedLinear)]
        if stored:
            log.warning("merging into %d quantized layers (%s): they are dequantized for it, the "
                        "others stay as they are", len(stored), stored[0].base_layer.describe())
        for layer in self.layers.values():
            weight = layer.base_layer._parameters.get("weight")
            if shared[id(weight)] > 1 and set(chosen) & set(layer.deltas):
                self._untie(layer)
            layer.merge(chosen, safe=safe, dtype=self._dtype())

    def _dtype(self) -> torch.dtype | None:
        """The type of the model's plain weights."""
        return next((parameter.dtype for parameter in self.model.parameters()
                     if parameter.is_floating_point()), None)

    def unmerge(self) -> None:
        """Take merged adapters out of the base weights."""
        for layer in self.layers.values():
            layer.unmerge()

    def _untie(self, layer: Adapted) -> None:
        """Give a layer a weight of its own: another shares it, and is not to change."""
        layer.base_layer.weight = nn.Parameter(layer.base_layer.weight.detach().clone(),
                                               requires_grad=False)
        config: Any = getattr(self.model, "config", None)
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False
