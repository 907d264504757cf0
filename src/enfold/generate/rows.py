"""The arguments of generate() as rows to write on.

    given       7 8 9      5 . .      padded on either side, with a mask
    to a decoder           7 8 9
                           . . 5      padded on the left: the next token stands next to the last
    to an encoder-decoder  the encoder reads them; its decoder's rows start from their own token

So a batch of prompts of different lengths gives what each of them gives alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.errors import GenerationError
from enfold.generate.checks import as_ids
from enfold.generate.config import GenerationConfig
from enfold.generate.prompt import (
    Prompt,
    accepted,
    check_ids,
    infer_mask,
    main_input,
    rest,
    with_past,
)
from enfold.nn.outputs import BaseModelOutput

PER_TOKEN = ("token_type_ids",)  # inputs with one value per token: the last one goes on
INTO_ENCODER = ("attention_mask", "head_mask", "token_type_ids", "position_ids")


def prepare(model: Any, inputs: Any, config: GenerationConfig, given: dict[str, Any]) -> Prompt:
    """The rows of a call: `inputs` its first argument, `given` the model's inputs by name.

    Runs the encoder of an encoder-decoder.  Raises GenerationError for inputs that can't be gone on
    from, ArgumentError for names that the model doesn't take.
    """
    given = {name: _on(model, value) for name, value in given.items() if value is not None}
    inputs = _on(model, inputs)
    if model.config.is_encoder_decoder:
        return _encoder_decoder(model, main_input(model, inputs, given), config, given)
    return _decoder(model, main_input(model, inputs, given), config, given)


def _on(model: Any, value: Any) -> Any:
    """A tensor on the model's device: prompts may come from the CPU."""
    return value.to(model.device) if isinstance(value, Tensor) else value


def _decoder(model: Any, ids: Tensor | None, config: GenerationConfig,
             given: dict[str, Any]) -> Prompt:
    embeds = given.pop("inputs_embeds", None)
    if ids is None:
        ids = _start(model, embeds, config)
    else:
        check_ids(model, ids, "input_ids")
    cache = given.pop("past_key_values", None)
    mask = given.pop("attention_mask", None)
    main = ids if embeds is None else embeds
    if mask is None:
        mask = infer_mask(ids, config) if ids.shape[1] and embeds is None else None
    else:
        _check_mask(mask, main, longer=cache is not None)
    context = main.shape[1] if mask is None else mask.shape[1]
    prompt = Prompt(ids, context, mask, embeds, given.pop("position_ids", None), cache,
                    source=ids if ids.shape[1] else None)
    prompt.per_token = {name: given.pop(name) for name in PER_TOKEN if name in given}
    prompt.fixed = rest(model, given, accepted(model))
    return with_past(_aligned(prompt))


def _check_mask(mask: Tensor, main: Tensor, *, longer: bool = False) -> None:
    """One column per token of the prompt; `longer`: also for those that are cached."""
    shape = tuple(main.shape[:2])
    fits = mask.dim() == 2 and mask.shape[0] == shape[0]
    if not fits or mask.shape[1] < shape[1] or (mask.shape[1] > shape[1] and not longer):
        raise GenerationError(f"generate: attention_mask has shape {tuple(mask.shape)}, expected "
                              f"{shape}, that of the prompt. Do: pass on the tokenizer's "
                              "attention_mask")


def _start(model: Any, embeds: Tensor | None, config: GenerationConfig) -> Tensor:
    """Rows without ids: empty before embeddings, else the start-of-sequence token."""
    if embeds is not None:
        return torch.zeros(embeds.shape[0], 0, dtype=torch.long, device=embeds.device)
    if config.bos_token_id is None:
        raise GenerationError(
            "generate: no prompt, and the model has no bos_token_id to start from. "
            "Do: pass input_ids, or bos_token_id"
        )
    return torch.tensor([[config.bos_token_id]], device=model.device)


def _aligned(prompt: Prompt) -> Prompt:
    """The prompt with its padding on the left, and without a mask if there is no padding."""
    mask = prompt.mask
    if mask is None or bool(mask.all()):
        prompt.mask = None
        return prompt
    empty = (mask.sum(1) == 0).nonzero().flatten().tolist()
    if empty:
        raise GenerationError(
            f"generate: prompt {empty[0]} is empty, its attention_mask is all zero. "
            "Do: leave it out, or start it with the bos token"
        )
    prompt.mask = mask = mask.long()
    if prompt.cache is not None:  # what is cached stays where it is; gaps in the middle do no harm
        if not bool(mask[:, -1].all()):
            raise GenerationError(
                "generate: the new tokens are padded on the right, after the tokens in "
                "past_key_values. Do: padding_side='left'"
            )
        return prompt
    order = padding_order(mask, left=True)
    if order is not None:
        prompt.mask = mask.gather(1, order)
        prompt.ids, prompt.embeds, prompt.positions = (
            _moved(value, order) for value in (prompt.ids, prompt.embeds, prompt.positions))
        prompt.per_token = {name: _moved(each, order) for name, each in prompt.per_token.items()}
    return prompt


def padding_order(mask: Tensor, *, left: bool) -> Tensor | None:
    """The columns of mask [B, T] in the order that has the padding on one side, None if it is."""
    rising, falling = mask[:, 1:] > mask[:, :-1], mask[:, 1:] < mask[:, :-1]
    if not bool((falling if left else rising).any()):
        return None
    return torch.sort(mask.ne(0).to(torch.uint8), dim=1, stable=True, descending=not left).indices


def _moved(value: Any, order: Tensor) -> Any:
    """`value` [B, T, ...] with its columns in `order`; empty ids, and None, stay as they are."""
    if value is None or not value.shape[1]:
        return value
    if value.dim() == 3:
        return value.gather(1, order[..., None].expand_as(value))
    return value.expand_as(order).gather(1, order)


def _encoder_decoder(model: Any, main: Tensor | None, config: GenerationConfig,
                     given: dict[str, Any]) -> Prompt:
    if given.get("encoder_outputs") is None:
        given["encoder_outputs"] = _encode(model, main, config, given)
    elif isinstance(given["encoder_outputs"], tuple | list):
        given["encoder_outputs"] = BaseModelOutput(last_hidden_state=given["encoder_outputs"][0])
    given.pop("inputs_embeds", None)
    states = given["encoder_outputs"][0]
    ids = _decoder_ids(model, config, given, states.shape[0], states.device)
    mask = given.pop("decoder_attention_mask", None)
    prompt = Prompt(ids, ids.shape[1] if mask is None else mask.shape[1], mask,
                    cache=given.pop("past_key_values", None))
    prompt.source = main if main is not None and not main.is_floating_point() else None
    prompt.fixed = rest(model, given, accepted(model))
    if prompt.mask is not None and bool(prompt.mask.all()):
        prompt.mask = None
    return with_past(prompt)


def _encode(
    model: Any, main: Tensor | None, config: GenerationConfig, given: dict[str, Any]
) -> Any:
    """Run the encoder; its mask stays in `given` for the decoder."""
    encoder, name = model.get_encoder(), getattr(model, "main_input_name", None) or "input_ids"
    embeds = given.pop("inputs_embeds", None)
    if main is None and embeds is None:
        raise GenerationError(
            f"generate: an encoder-decoder needs {name}, inputs_embeds or "
            "encoder_outputs. Do: generate(**tokenizer(text, return_tensors='pt'))"
        )
    if main is not None and embeds is not None:
        raise GenerationError(f"generate: got {name} and inputs_embeds. Do: pass one")
    if main is not None and name == "input_ids":
        check_ids(model, main, name)
        if "attention_mask" not in given and (mask := infer_mask(main, config)) is not None:
            given["attention_mask"] = mask
    mask = given.pop("attention_mask", None)
    if mask is not None and (source := main if embeds is None else embeds) is not None:
        _check_mask(mask, source)
    if mask is not None and not bool(mask.all()):
        order = padding_order(mask, left=False)  # an encoder counts its positions from the left
        if order is not None:
            main, embeds, mask = (_moved(value, order) for value in (main, embeds, mask))
        given["attention_mask"] = mask
    takes = accepted(encoder) | {"attention_mask"}
    inputs = {key: value for key, value in given.items() if key in takes and key in INTO_ENCODER}
    inputs |= {name: main} if embeds is None else {"inputs_embeds": embeds}
    return encoder(**inputs, output_attentions=config.output_attentions,
                   output_hidden_states=config.output_hidden_states, return_dict=True)


def _decoder_ids(model: Any, config: GenerationConfig, given: dict[str, Any], batch: int,
                 device: torch.device) -> Tensor:
    """The rows [B, T] to go on from: the start token, before the caller's decoder_input_ids."""
    start = config.decoder_start_token_id
    start = config.bos_token_id if start is None else start
    if start is None:
        raise GenerationError(
            "generate: the model has neither decoder_start_token_id nor bos_token_id. "
            "Do: pass decoder_start_token_id"
        )
    first = torch.tensor(as_ids(start), device=device)[:, None]
    if first.shape[0] not in (1, batch):
        raise GenerationError(
            f"generate: decoder_start_token_id has {first.shape[0]} ids for {batch} "
            "prompts. Do: pass one, or one per prompt"
        )
    first = first.expand(batch, 1)
    ids: Tensor | None = given.pop("decoder_input_ids", None)
    if ids is None:
        return first.contiguous()
    check_ids(model, ids, "decoder_input_ids")
    if not bool((ids[:, :1] != first).all()):
        return ids
    mask = given.get("decoder_attention_mask")
    if mask is not None:
        given["decoder_attention_mask"] = torch.cat((torch.ones_like(mask[:, :1]), mask), 1)
    return torch.cat((first, ids), 1)


