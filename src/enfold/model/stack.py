"""Models that are one stack: encoders, decoders, and halves of encoder-decoders.

B batch, T new tokens, S cached and new tokens
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.errors import InputError, unknown_arguments
from enfold.model.base import PreTrainedModel
from enfold.model.routing import balanced, wants_routers
from enfold.nn.cache import Cache, as_cache
from enfold.nn.checks import check_tensor
from enfold.nn.context import Trace
from enfold.nn.outputs import ModelOutput
from enfold.spec import Attention, DoubleHeads, MultipleChoice

ARGUMENTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds",
             "past_key_values", "use_cache", "output_attentions", "output_hidden_states",
             "return_dict", "encoder_hidden_states", "encoder_attention_mask", "logits_to_keep",
             "num_items_in_batch", "cache_position")  # fmt: skip


class StackModel(PreTrainedModel):
    """An encoder or decoder with a head."""

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, *,
                token_type_ids: Tensor | None = None, position_ids: Tensor | None = None,
                inputs_embeds: Tensor | None = None, past_key_values: Any = None,
                use_cache: bool | None = None, output_attentions: bool | None = None,
                output_hidden_states: bool | None = None, return_dict: bool | None = None,
                encoder_hidden_states: Tensor | None = None,
                encoder_attention_mask: Tensor | None = None, logits_to_keep: int | Tensor = 0,
                num_items_in_batch: Tensor | int | None = None,
                cache_position: Tensor | None = None, output_router_logits: bool | None = None,
                **targets: Any) -> ModelOutput | tuple[Any, ...]:
        """Hidden states, logits, loss.

        input_ids [B, T] or inputs_embeds [B, T, D]; attention_mask [B, S] of ones and zeros, or
        [B, 1, T, S]; token_type_ids and position_ids [B, T]: where these start anew, without a
        mask, another text begins, which sees nothing of the others.  `labels` (and what else the
        head takes) give `loss`.  `past_key_values`: a cache from an earlier call, updated in place.
        `logits_to_keep`: logits of the last so many positions only.  `output_router_logits`: of a
        mixture of experts, [B * T, E] by layer, and the loss of uneven use as part of `loss`.
        """
        targets = check_targets(self, targets, ARGUMENTS)
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("give input_ids or inputs_embeds, one of them; "
                             f"got {'neither' if input_ids is None else 'both'}")
        if encoder_hidden_states is not None and not self._crosses():
            raise InputError(f"{type(self).__name__} got encoder_hidden_states, but it has no "
                             "cross-attention. Do: leave them out, or build it with "
                             "add_cross_attention=True")
        trace = new_trace(self.config, output_attentions, output_hidden_states,
                          cross=encoder_hidden_states is not None)
        if wants_routers(self, output_router_logits):
            trace.routers = []
        if input_ids is not None:
            check_tensor("input_ids", input_ids, "[batch, length]")
        if position_ids is None and cache_position is not None:
            position_ids = cache_position[None]
        cache = self._cache(past_key_values, use_cache)
        choices = _Choices(self, input_ids if input_ids is not None else inputs_embeds)
        ids = choices.flat(input_ids)
        mask = choices.flat(attention_mask)
        run = self._run(ids, targets, items=num_items_in_batch, keep=logits_to_keep,
                        choices=choices.count)
        hidden = self.body(
            ids, embeds=choices.flat(inputs_embeds, 3), types=choices.flat(token_type_ids),
            positions=choices.flat(position_ids), mask=mask, cache=cache,
            memory=encoder_hidden_states, memory_mask=encoder_attention_mask, trace=trace,
            reads=self.head.reads(run, mask))
        fields = self.head(choices.unflat(hidden), run)
        fields |= {"past_key_values": cache, "hidden_states": choices.all(trace.hidden),
                   "attentions": as_tuple(trace.attentions),
                   "cross_attentions": as_tuple(trace.cross)}
        if trace.routers:
            fields |= balanced(self, fields, trace.routers, mask)
        return finish(self.output_class()(fields), return_dict, self.config)

    def output_class(self) -> type[ModelOutput]:
        """What `forward` returns."""
        sparse = self.head.output_sparse if self.body.routers() else None
        return sparse or self.head.output

    def _cache(self, past: Any, use_cache: bool | None) -> Cache | None:
        if past is not None:
            return as_cache(past)
        wanted = self.config.use_cache if use_cache is None else use_cache
        recompute = self.training and self.body.checkpointing is not None
        attentions = self.body.attentions()
        returned = "past_key_values" in self.output_class().FIELDS
        if not (wanted and returned and attentions and attentions[0].causal) or recompute:
            return None
        return self.new_cache()

    def _crosses(self) -> bool:
        return any(isinstance(b, Attention) and b.cross
                   for block in self.body.spec.blocks[:1] for b in block.branches)

    def get_decoder(self) -> PreTrainedModel:
        """The model without its head."""
        return self.base_model


class _Choices:
    """Inputs [B, choices, T] as [B * choices, T], for the heads that compare choices."""

    def __init__(self, model: PreTrainedModel, source: Tensor | None) -> None:
        self.kind = type(model.head.spec)
        compares = self.kind in (MultipleChoice, DoubleHeads)
        deep = source is not None and (source.dim() - source.is_floating_point()) > 2
        self.shape = source.shape[:2] if source is not None and compares and deep else None
        self.count = self.shape[1] if self.shape is not None else 0

    def flat(self, x: Tensor | None, dims: int = 2) -> Tensor | None:
        return x if x is None or self.shape is None or x.dim() <= dims else x.flatten(0, 1)

    def all(self, found: list[Tensor] | None) -> tuple[Tensor, ...] | None:
        """Recorded states; of the last alone the choices come back, as in the reference."""
        return None if found is None else (*found[:-1], self.unflat(found[-1]))

    def unflat(self, hidden: Tensor) -> Tensor:
        if self.shape is None or self.kind is not DoubleHeads:
            return hidden
        return hidden.view(*self.shape, *hidden.shape[1:])


def check_targets(model: PreTrainedModel, targets: dict[str, Any],
                  arguments: tuple[str, ...]) -> dict[str, Any]:
    """The targets that the head takes; any other argument raises."""
    unknown = [name for name in targets if name not in model.head.targets]
    unknown = [name for name in unknown if not (name == "labels" and targets[name] is None)]
    if unknown:
        routed = ("output_router_logits",) if getattr(model.body, "routers", list)() else ()
        raise unknown_arguments(f"{type(model).__name__}.forward", unknown,
                                (*arguments, *routed, *model.head.targets))
    found = {name: value for name, value in targets.items() if value is not None}
    for name, value in found.items():
        check_tensor(name, value, "[batch] or [batch, length]")
    return found


def new_trace(config: Any, attentions: bool | None, hidden: bool | None, *,
              cross: bool = False) -> Trace:
    """What the pass has to record."""
    attentions = config.output_attentions if attentions is None else attentions
    hidden = config.output_hidden_states if hidden is None else hidden
    return Trace([] if hidden else None, [] if attentions else None,
                 [] if attentions and cross else None)


def as_tuple(found: list[Tensor] | None) -> tuple[Tensor, ...] | None:
    """A recorded list as the output's field."""
    return None if found is None else tuple(found)


def finish(output: ModelOutput, return_dict: bool | None,
           config: Any) -> ModelOutput | tuple[Any, ...]:
    """The output, or its tuple if the caller or the config wants that."""
    wanted = config.return_dict if return_dict is None else return_dict
    return output if wanted else output.to_tuple()


