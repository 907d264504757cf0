"""PreTrainedModel: a body and a head under the ecosystem's names.

Subclasses (`BertForMaskedLM`, ...) are generated from the pages by `classes.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn

from enfold.config import Config
from enfold.errors import ConfigError, InputError
from enfold.model.adapting import AdapterMixin
from enfold.model.embeddings import Embeddings
from enfold.model.quantizing import QuantizedMixin
from enfold.models.registry import Plan, get_family
from enfold.nn.build import build
from enfold.nn.cache import Cache
from enfold.nn.heads import build_head
from enfold.nn.heads.base import BaseHead, HeadModule, Run
from enfold.nn.init import initialise
from enfold.nn.linear import Conv1D, Linear
from enfold.nn.native.switch import optimize
from enfold.nn.stack import Transformer
from enfold.nn.step import Stepper, can_step
from enfold.spec import Body
from enfold.weights.face import PublicFace
from enfold.weights.names import NameTable
from enfold.weights.packed import packed
from enfold.weights.single import single_names
from enfold.weights.slots import materialise, retied, slots

if TYPE_CHECKING:
    from enfold.generate.config import GenerationConfig

KERNELS = ("sdpa", "eager")


class PreTrainedModel(QuantizedMixin, Embeddings, AdapterMixin, PublicFace):
    """A transformer with a head.

    `model(input_ids, attention_mask, ...)` returns a `ModelOutput`.  Construct from a config for
    fresh weights, or by `from_pretrained`.  `model.spec` prints the architecture.
    """

    model_type: ClassVar[str] = ""
    suffix: ClassVar[str] = ""
    config_class: ClassVar[type[Config]] = Config
    base_model_prefix: ClassVar[str] = ""
    main_input_name: ClassVar[str] = "input_ids"
    supports_gradient_checkpointing: ClassVar[bool] = True
    placement: Any = None  # how its parts are spread over devices and the disk
    tp_size: int | None = None  # how many processes share it

    config: Any
    body: Any
    head: HeadModule
    prefix: str

    def __init__(self, config: Config, **options: Any) -> None:
        self._build(config, **options)
        device = torch.get_default_device()
        materialise(self, device)
        if device.type != "meta":
            initialise(self, [slot.name for slot in slots(self)], self._std)
        if (dtype := torch.get_default_dtype()) != torch.float32:
            self.to(dtype)

    def _build(self, config: Config, *, add_pooling_layer: bool | None = None) -> None:
        """Build the modules on the meta device."""
        name = type(self).__name__
        if not isinstance(config, Config):
            raise ConfigError(f"{name}() got a {type(config).__name__}, expected a config. Do: "
                              f"{name}.from_pretrained({str(config)!r:.60}), or {name}(config)")
        if self.model_type and config.model_type != self.model_type:
            raise ConfigError(f"{name} got a config of {config.model_type!r}, expected "
                              f"{self.model_type!r}. Do: use "
                              f"{name.removesuffix(self.suffix)}Config")
        plan = get_family(self.model_type).plan(config, self.suffix)
        nn.Module.__init__(self)
        with torch.device("meta"):
            head = build_head(plan.head, plan.body, config)
            if add_pooling_layer is not None and isinstance(head, BaseHead):
                head.pooled = add_pooling_layer
            body = build(plan.body, pooled=head.pooled)
        self._assemble(config, plan, body, head)
        _turn_conv1d(self, plan.names)
        self.tie_weights()
        self.set_attn_implementation(config.get("attn_implementation") or "sdpa")

    def _assemble(self, config: Config, plan: Plan, body: nn.Module, head: HeadModule) -> None:
        self.config, self.prefix = config, plan.prefix
        self.name_or_path = config.get("name_or_path", "")
        self.warnings_issued: dict[str, bool] = {}
        self.stored: set[str] = set()  # computed tensors that the file held
        self._generation_config: Any = None
        self.body, self.head = body, head
        self.names, self.pieces = plan.names, plan.pieces

    @classmethod
    def adopt(cls, config: Config, plan: Plan, body: nn.Module, head: HeadModule) -> Self:
        """A model around modules that exist already, sharing them."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._assemble(config, plan, body, head)
        model.train(body.training)
        return model

    @classmethod
    def _from_config(cls, config: Config, **options: Any) -> Self:
        dtype = options.pop("dtype", options.pop("torch_dtype", None))
        if kernel := options.pop("attn_implementation", None):
            config.attn_implementation = kernel
        model = cls(config, **options)
        return model if dtype is None else model.to(dtype)

    def _std(self, name: str) -> float:
        std = get_family(self.model_type).std
        return float(std(self.config, name) if std else self.config.get("initializer_range", 0.02))

    # ---- files -----------------------------------------------------------------------------------
    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str],
                        **kwargs: Any) -> Any:
        """A model of a folder or Hub repository; see `enfold.model.loading.from_pretrained`."""
        from enfold.model.loading import from_pretrained

        return from_pretrained(cls, pretrained_model_name_or_path, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Write config and weights; see `enfold.model.saving.save_pretrained`."""
        from enfold.model.saving import save_pretrained

        save_pretrained(self, save_directory, **kwargs)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Save into a temporary folder and upload it as one commit."""
        from enfold.model.saving import push_model

        return push_model(self, repo_id, **kwargs)

    # ---- what it is ------------------------------------------------------------------------------
    @property
    def spec(self) -> Body:
        """The architecture as data."""
        return self.body.spec  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the floating parameters, computed from them."""
        return next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.float32)

    @property
    def framework(self) -> str:
        """Always "pt"."""
        return "pt"

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the parameters hold, tied ones once; of quantized layers those of the
        weights that they stand for.
        """
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        stored = 0 if only_trainable else sum(layer.in_features * layer.out_features
                                              for layer in packed(self).values())
        return stored + sum(p.numel() for p in self.parameters()
                            if (p.requires_grad or not only_trainable) and p.is_floating_point()
                            and not (exclude_embeddings and id(p) in tables))

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Bytes of the parameters, and of the buffers."""
        held = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.nbytes for tensor in held)

    @property
    def tp_plan(self) -> dict[str, str]:
        """Their path of each layer that this process has a part of -> how it is cut."""
        from enfold.weights.shard.model import plan_of

        return plan_of(self)

    def can_generate(self) -> bool:
        """Whether the head gives next-token logits."""
        from enfold.spec import CausalLM, DoubleHeads, Seq2SeqLM

        return isinstance(self.head.spec, CausalLM | DoubleHeads | Seq2SeqLM)

    def whole(self, path: str) -> Any:
        """The model that their path means as a whole: the base model, or a half of it."""
        base = self.base_model if path and path == self.prefix else self
        return None if base is self else base

    @property
    def base_model(self) -> PreTrainedModel:
        """The model without its head, sharing the body; the model itself if it has none."""
        if isinstance(self.head, BaseHead):
            return self
        from enfold.model.classes import base_class

        cls, pooled = base_class(self), getattr(self.body, "pooler", None) is not None
        if cls is None:
            return self
        plan = get_family(self.model_type).plan(self.config, cls.suffix)
        head = BaseHead(plan.head, self.body, self.config)  # type: ignore[arg-type]
        head.pooled = pooled
        base = cls.adopt(self.config, plan, self.body, head)
        if base.pieces != self.pieces:
            base.names, base.pieces = single_names(base.names, base.pieces)
        return base

    # ---- switches --------------------------------------------------------------------------------
    def set_attn_implementation(self, attn_implementation: str) -> None:
        """Choose the attention kernel: "sdpa" (fused) or "eager" (plain operations)."""
        if attn_implementation not in KERNELS:
            raise InputError(f"attn_implementation is {attn_implementation!r}, expected 'sdpa' or "
                             "'eager'. "
                             "Do: use 'sdpa', which runs flash attention where the device has it")
        self.body.eager = attn_implementation == "eager"
        self.config.attn_implementation = attn_implementation

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any]
                                      | None = None) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.body.checkpoint(True, **(gradient_checkpointing_kwargs or {}))

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.body.checkpoint(False)

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether blocks are recomputed in the backward pass."""
        return any(m.checkpointing is not None for m in self.body.modules()
                   if isinstance(m, Transformer))

    def tie_weights(self, **_: Any) -> None:
        """Have the output projection be the embedding, where the head is declared tied."""
        out = getattr(self.head, "out", None)
        if getattr(self.head.spec, "tied", False) and out is not None:
            out.weight = self._last_stack().embed.token.weight

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        if self.placement is not None:
            self.placement.refuse_move(type(self).__name__, fn)
        moved = super()._apply
        retied(self, lambda: moved(fn, recurse))  # type: ignore[no-untyped-call]
        return self

    def enable_input_require_grads(self) -> None:
        """Have the embeddings' output require gradients (adapters with gradient checkpointing)."""
        self._grad_hook = self.get_input_embeddings().register_forward_hook(
            lambda module, args, output: output.requires_grad_(True))

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        self._grad_hook.remove()

    # ---- generation ------------------------------------------------------------------------------
    @property
    def generation_config(self) -> GenerationConfig:
        """The defaults of `generate`, from generation_config.json or else config.json."""
        held = self._generation_config
        if held is None or isinstance(held, Path):
            from enfold.generate.config import GenerationConfig

            self._generation_config = (
                GenerationConfig.from_model_config(self.config) if held is None
                else GenerationConfig.from_pretrained(held.parent))
        return self._generation_config  # type: ignore[no-any-return]

    @generation_config.setter
    def generation_config(self, value: Any) -> None:
        self._generation_config = value

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Continue a text; see `enfold.generate.generate`."""
        from enfold.generate import generate

        if not self.can_generate():
            raise InputError(f"{type(self).__name__} has no language-modelling head, so it can't "
                             "generate. "
                             "Do: load the checkpoint with AutoModelForCausalLM or "
                             "AutoModelForSeq2SeqLM")
        return generate(self, *args, **kwargs)

    def compute_transition_scores(self, sequences: torch.Tensor, scores: tuple[torch.Tensor, ...],
                                  beam_indices: torch.Tensor | None = None,
                                  normalize_logits: bool = False) -> torch.Tensor:
        """The score of each new token; see `enfold.generate.scores`."""
        from enfold.generate.scores import compute_transition_scores

        return compute_transition_scores(sequences, scores, beam_indices, normalize_logits)

    def new_cache(self, batch_size: int = 1, max_length: int = 0) -> Cache:
        """An empty cache with room for `max_length` positions."""
        return Cache(len(self._last_stack().layers), max_length)

    def stepper(self, cache: Cache, capacity: int = 0) -> Stepper | None:
        """A function for single tokens over a filled cache, same numbers as the model's; None if it
        has to be called itself (hooks, adapters, eager attention).
        """
        decoder = self._last_stack()
        plain = self.placement is None and not (
            self._forward_hooks or self._forward_pre_hooks or self.body._forward_hooks)
        if not plain or not hasattr(self.head, "logits") or not can_step(decoder, cache):
            return None
        return Stepper(decoder, self.head, cache, capacity)

    def optimize(self, enabled: bool = True) -> Self:
        """Compute by our kernels where they are faster (the default), or by torch alone.

        They are for inference on a CPU, in eval mode and without gradients, and change nothing
        beyond rounding; weights stay as they are.
        """
        optimize(self, enabled)
        return self

    # ---- inside ----------------------------------------------------------------------------------
    def _last_stack(self) -> Transformer:
        stack: Transformer = getattr(self.body, "decoder", self.body)
        return stack

    def _run(self, ids: Any, targets: dict[str, Any], **fields: Any) -> Run:
        stack = self._last_stack()
        pooled = self.head.pooled and getattr(stack, "pooler", None) is not None
        return Run(ids, stack.pool if pooled else None, targets, **fields)


def _turn_conv1d(model: PreTrainedModel, names: NameTable) -> None:
    """Store the weights that the names table marks transposed as the checkpoint does."""
    if not names.transposed:
        return
    for path, module in list(model._ours()):
        if type(module) is Linear and names.is_transposed(path):
            parent, _, leaf = path.rpartition(".")
            setattr(nn.Module.get_submodule(model, parent), leaf, Conv1D.of(module))

