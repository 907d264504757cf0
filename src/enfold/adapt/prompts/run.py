"""A model with virtual tokens before its inputs.

    words     [ virtual | text ]     prompt tuning, P-tuning; of an encoder-decoder the encoder's
    keys      [ virtual | text ]     prefix tuning, in each layer; of an encoder-decoder the
                                     decoder's

B batch, T text, N virtual tokens, D width, H heads, d width of a head
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.adapt.config import PeftType
from enfold.adapt.prompts.config import (
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
)
from enfold.adapt.prompts.encoders import (
    PrefixEncoder,
    PromptEmbedding,
    PromptEncoder,
    VirtualTokens,
)
from enfold.adapt.registry import METHODS, Method
from enfold.errors import InputError
from enfold.nn.cache import Cache
from enfold.spec import EncDec, Stack

IGNORED = -100  # a label that counts for no loss
NAMES = ("input_ids", "attention_mask")  # a model's first arguments


class Prompt:
    """One adapter on the inputs of a model."""

    def __init__(self, model: Any, config: Any, tokens: VirtualTokens) -> None:
        self.model, self.config, self.tokens = model, config, tokens
        self.count = int(config.num_virtual_tokens)
        self.prefix = config.peft_type == PeftType.PREFIX_TUNING
        self.encdec = isinstance(model.spec, EncDec)

    # ---- forward ---------------------------------------------------------------------------------
    def forward(self, *args: Any, **inputs: Any) -> Any:
        """The model's output; with virtual words also at their positions."""
        inputs |= dict(zip(NAMES, args, strict=False))
        self._shift(inputs)
        if not self.prefix:
            return self.model(**self._worded(inputs))
        if inputs.get("past_key_values") is not None:
            raise InputError("prefix tuning got past_key_values: the prefix takes their place. Do: "
                             "leave them out, or use generate()")
        return self.model(**self._prefixed(inputs))

    def _shift(self, inputs: dict[str, Any]) -> None:
        """Positions of the text after the virtual tokens."""
        positions = inputs.get("position_ids")
        if positions is None or self.encdec:
            return
        if not self.prefix:
            positions = self._before(positions, 0, step=1, shift=self.count)
            inputs["position_ids"] = positions
        else:
            inputs["position_ids"] = positions + self.count

    def _worded(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs with virtual words before the text."""
        ids, embeds = inputs.pop("input_ids", None), inputs.pop("inputs_embeds", None)
        text = self.words(ids) if embeds is None else embeds
        inputs["inputs_embeds"] = torch.cat((self.virtual(text), text), 1)
        for name, fill in (("attention_mask", 1), ("token_type_ids", 0)):
            if inputs.get(name) is not None:
                inputs[name] = self._before(inputs[name], fill)
        labels = inputs.get("labels")
        if labels is not None and not self.encdec and labels.shape == text.shape[:2] and (
                not labels.is_floating_point()):
            inputs["labels"] = self._before(labels, IGNORED)
        return inputs

    def _prefixed(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs with a cache that holds the prefix."""
        if self.model.is_gradient_checkpointing and self.model.training:
            raise InputError("prefix tuning with gradient checkpointing: what is recomputed would "
                             "read its own keys. Do: gradient_checkpointing_disable(), or use "
                             "prompt tuning")
        mask = "decoder_attention_mask" if self.encdec else "attention_mask"
        if inputs.get(mask) is not None:
            inputs[mask] = self._before(inputs[mask], 1)
        main = next((inputs[name] for name in ("input_ids", "inputs_embeds", "encoder_outputs")
                     if inputs.get(name) is not None), None)
        if main is None:
            raise InputError("the model got no input. Do: give input_ids or inputs_embeds")
        rows = main.shape[0] if isinstance(main, Tensor) else main[0].shape[0]
        return {**inputs, "past_key_values": self.cache(rows)}

    # ---- generate --------------------------------------------------------------------------------
    def generate(self, inputs: Any = None, *rest: Any, **given: Any) -> Any:
        """The model's generate with virtual tokens before the prompt, which are not returned."""
        ids = given.pop("input_ids", None) if inputs is None else inputs
        if not isinstance(ids, Tensor):
            raise InputError(f"generate with virtual tokens got {type(ids).__name__} for "
                             "input_ids, expected a tensor [batch, length]. Do: pass input_ids")
        mask = given.pop("attention_mask", None)
        if mask is None:
            mask = self._mask(ids)
        if not self.prefix:
            return self._generate_words(ids, mask, rest, given)
        given["past_key_values"] = self.cache(ids.shape[0])
        if self.encdec:
            start = given.get("decoder_attention_mask", given.get("decoder_input_ids"))
            shape = ids[:, :1] if start is None else start
            given["decoder_attention_mask"] = self._before(torch.ones_like(shape), 1)
            return self.model.generate(ids, *rest, attention_mask=mask, **given)
        return self.model.generate(ids, *rest, attention_mask=self._before(mask, 1), **given)

    def _generate_words(self, ids: Tensor, mask: Tensor, rest: tuple[Any, ...],
                        given: dict[str, Any]) -> Any:
        text = self.words(ids)
        embeds = torch.cat((self.virtual(text), text), 1)
        whole = self._before(mask, 1)
        if self.encdec:
            return self.model.generate(None, *rest, inputs_embeds=embeds, attention_mask=whole,
                                       **given)
        order = torch.sort(whole.ne(0).byte(), dim=1, stable=True).indices  # padding to the left
        embeds = embeds.gather(1, order[..., None].expand_as(embeds))
        ids = ids.gather(1, torch.sort(mask.ne(0).byte(), dim=1, stable=True).indices)
        return self.model.generate(ids, *rest, inputs_embeds=embeds,
                                   attention_mask=whole.gather(1, order), **given)

    def _mask(self, ids: Tensor) -> Tensor:
        """The mask of ids [B, T] given without one: no padding, or it raises."""
        pad = self.model.config.get("pad_token_id")
        if ids.shape[0] > 1 and pad is not None and bool(ids.eq(pad).any()):
            raise InputError(f"generate with virtual tokens: the batch holds the padding token "
                             f"{pad} and there is no attention_mask. Do: pass the tokenizer's")
        return torch.ones_like(ids)

    # ---- parts -----------------------------------------------------------------------------------
    def words(self, ids: Tensor) -> Tensor:
        """The text as embeddings [B, T, D]."""
        embed = getattr(self.model.body, "encoder", self.model.body).embed
        return embed.words(ids) * embed.spec.scale  # type: ignore[no-any-return]

    def virtual(self, text: Tensor) -> Tensor:
        """The virtual words [B, N, D] for a text [B, T, D]."""
        made: Tensor = self.tokens()[: self.count]
        return made.to(text).expand(text.shape[0], -1, -1)

    def cache(self, rows: int) -> Cache:
        """A cache that holds the prefix of each layer, [B, H, N, d]."""
        config, dtype = self.config, self.model.dtype
        heads = config.num_attention_heads
        made = self.tokens().to(dtype).view(self.count, 2 * config.num_layers, heads, -1)
        parts = made.permute(1, 2, 0, 3)[:, None].expand(-1, rows, -1, -1, -1)
        both = config.num_transformer_submodules == 2
        order = [2 * layer % config.num_layers if both else layer  # peft deals them out two by two
                 for layer in range(config.num_layers)]
        return Cache.from_legacy_cache((parts[2 * i], parts[2 * i + 1]) for i in order)

    def _before(self, values: Tensor, fill: int, *, step: int = 0, shift: int = 0) -> Tensor:
        """Values [B, T] with N columns before them."""
        if values.dim() != 2:
            raise InputError(f"virtual tokens with an input of shape {tuple(values.shape)}: "
                             "expected [batch, length]. Do: give a mask of ones and zeros, one for "
                             "each token")
        first = torch.arange(self.count, device=values.device) * step + fill
        return torch.cat((first.to(values).expand(values.shape[0], -1), values + shift), 1)


def make_tokens(model: nn.Module, config: Any, kind: type[VirtualTokens]) -> VirtualTokens:
    """The virtual tokens for a model, whose sizes the configuration takes."""
    spec: Any = getattr(model, "spec", None)
    if not isinstance(spec, Stack | EncDec):
        raise InputError(f"{type(config).__name__} got a {type(model).__name__}, expected a "
                         "transformer of enfold. Do: load the base by an AutoModel of enfold")
    body: Any = model.body
    stack, first = getattr(body, "decoder", body), getattr(body, "encoder", body)
    attention, prefix = stack.attentions()[0], config.peft_type == PeftType.PREFIX_TUNING
    sizes = {"num_layers": len(stack.layers), "token_dim": first.spec.dim,
             "num_attention_heads": attention.heads,
             "num_transformer_submodules": 2 if config.task_type == "SEQ_2_SEQ_LM" else 1}
    if prefix:
        sizes |= {"token_dim": attention.kv_heads * attention.head_dim,
                  "num_attention_heads": attention.kv_heads}
    for name, size in sizes.items():
        if getattr(config, name) is None:
            setattr(config, name, size)
        elif name != "num_transformer_submodules" and getattr(config, name) != size and (
                prefix or name == "token_dim"):
            raise InputError(f"{type(config).__name__}: {name} is {getattr(config, name)}, "
                             f"expected {size}, that of the model. Do: leave it out")
    if getattr(config, "encoder_hidden_size", 1) is None:
        config.encoder_hidden_size = config.token_dim
    made = kind(config, first.embed.token.weight)
    return made.to(first.embed.token.weight.device)


for _config, _kind in ((PromptTuningConfig, PromptEmbedding), (PrefixTuningConfig, PrefixEncoder),
                       (PromptEncoderConfig, PromptEncoder)):
    assert _config.METHOD is not None
    METHODS[_config.METHOD] = Method(_config, tokens=_kind)
