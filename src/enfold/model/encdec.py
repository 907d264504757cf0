"""Models of an encoder and a decoder.

B batch, T decoder tokens, S encoder tokens
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.errors import InputError
from enfold.model.base import PreTrainedModel
from enfold.model.stack import StackModel, as_tuple, check_targets, finish, new_trace
from enfold.models.registry import Plan, get_family
from enfold.nn.cache import Cache, as_cache
from enfold.nn.context import Trace
from enfold.nn.encdec import shift_right
from enfold.nn.heads.base import BaseHead
from enfold.nn.outputs import BaseModelOutput, ModelOutput
from enfold.spec import Base, Seq2SeqLM
from enfold.weights.names import NameTable, Theirs

ARGUMENTS = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask",
             "encoder_outputs", "past_key_values", "inputs_embeds", "decoder_inputs_embeds",
             "decoder_position_ids", "use_cache", "output_attentions", "output_hidden_states",
             "return_dict", "num_items_in_batch",
             "cache_position")  # fmt: skip

ENCODED = ("last_hidden_state", "hidden_states", "attentions")


class EncDecModel(PreTrainedModel):
    """An encoder-decoder with a head."""

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                decoder_input_ids: Tensor | None = None,
                decoder_attention_mask: Tensor | None = None, *, encoder_outputs: Any = None,
                past_key_values: Any = None, inputs_embeds: Tensor | None = None,
                decoder_inputs_embeds: Tensor | None = None,
                decoder_position_ids: Tensor | None = None, use_cache: bool | None = None,
                output_attentions: bool | None = None, output_hidden_states: bool | None = None,
                return_dict: bool | None = None, num_items_in_batch: Tensor | int | None = None,
                cache_position: Tensor | None = None,
                **targets: Any) -> ModelOutput | tuple[Any, ...]:
        """Hidden states, logits, loss of the decoder.

        input_ids and attention_mask [B, S] are the encoder's, decoder_input_ids [B, T] the
        decoder's; with `labels` [B, T] the decoder's input is the labels, shifted right.
        `encoder_outputs` takes the place of input_ids.
        """
        targets = check_targets(self, targets, ARGUMENTS)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self._decoder_ids(input_ids, targets)
        wanted = (output_attentions, output_hidden_states)
        encoder_trace = new_trace(self.config, *wanted)
        encoded = self._encode(input_ids, inputs_embeds, attention_mask, encoder_outputs,
                               encoder_trace)
        trace = new_trace(self.config, *wanted, cross=True)
        cache = self._cache(past_key_values, use_cache)
        positions = decoder_position_ids
        if positions is None and cache_position is not None:
            positions = cache_position[None]
        hidden = self.body.decoder(decoder_input_ids, embeds=decoder_inputs_embeds,
                                   positions=positions, mask=decoder_attention_mask, cache=cache,
                                   memory=encoded[0], memory_mask=attention_mask, trace=trace)
        fields = self.head(hidden, self._run(input_ids, targets, items=num_items_in_batch))
        fields |= {"past_key_values": cache, "decoder_hidden_states": as_tuple(trace.hidden),
                   "decoder_attentions": as_tuple(trace.attentions),
                   "cross_attentions": as_tuple(trace.cross),
                   "encoder_last_hidden_state": encoded[0], "encoder_hidden_states": encoded[1],
                   "encoder_attentions": encoded[2]}
        output = self.head.output_encdec or self.head.output
        return finish(output(fields), return_dict, self.config)

    def _encode(self, ids: Tensor | None, embeds: Tensor | None, mask: Tensor | None, given: Any,
                trace: Trace) -> tuple[Any, Any, Any]:
        """(last hidden state, hidden states, attentions) of the encoder, computed or as given."""
        if given is not None:
            output = given if isinstance(given, dict) else dict(
                zip(ENCODED, _as_sequence(given), strict=False))
            return tuple(output.get(name) for name in ENCODED)  # type: ignore[return-value]
        if (ids is None) == (embeds is None):
            raise InputError("give input_ids, inputs_embeds or encoder_outputs, one of them; "
                             f"got {'none' if ids is None else 'both input_ids and inputs_embeds'}")
        hidden = self.body.encoder(ids, embeds=embeds, mask=mask, trace=trace)
        return hidden, as_tuple(trace.hidden), as_tuple(trace.attentions)

    def _decoder_ids(self, ids: Tensor | None, targets: dict[str, Any]) -> Tensor:
        head = self.head.spec
        source = targets.get("labels") if isinstance(head, Seq2SeqLM) else None
        if source is None and (self.body.spec.shift_inputs
                               or not isinstance(head, Base | Seq2SeqLM)):
            source = ids
        if source is None:
            raise InputError(f"{type(self).__name__} got no decoder input. Do: give "
                             "decoder_input_ids (to begin a text: one column of "
                             "config.decoder_start_token_id), or labels, or use generate()")
        start = self.config.decoder_start_token_id
        if start is None:
            raise InputError("config.decoder_start_token_id is not set, so labels can't be "
                             "shifted right. "
                             "Do: set it (for most models the pad or bos token), or give "
                             "decoder_input_ids")
        return shift_right(source, start, self.config.pad_token_id)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Labels [B, T] shifted right, as the decoder's input."""
        return self._decoder_ids(None, {"labels": labels})

    def _cache(self, past: Any, use_cache: bool | None) -> Cache | None:
        if past is not None:
            return as_cache(past)
        wanted = self.config.use_cache if use_cache is None else use_cache
        recompute = self.training and self.body.decoder.checkpointing is not None
        return self.new_cache() if wanted and not recompute else None

    # ---- halves ----------------------------------------------------------------------------------
    def get_encoder(self) -> HalfModel:
        """The encoder as a model of its own, sharing its modules."""
        return self._half("encoder")

    def get_decoder(self) -> HalfModel:
        """The decoder as a model of its own, sharing its modules."""
        return self._half("decoder")

    def whole(self, path: str) -> Any:
        if (base := super().whole(path)) is not None:
            return base
        bare = path.removeprefix(f"{self.prefix}.") if self.prefix else path
        return self._half(bare) if bare in ("encoder", "decoder") else None

    def _half(self, side: str) -> HalfModel:
        family, body = get_family(self.model_type), getattr(self.body, side)
        start, theirs = f"body.{side}.", f"{self.prefix}.{side}.".lstrip(".")
        table: dict[str, Theirs] = {f"body.{ours[len(start):]}": name.removeprefix(theirs)
                                    for ours, name in self.names.forward.items()
                                    if ours.startswith(start)}
        table["body.embed.token"] = "embed_tokens"
        plan = Plan(family, side, body.spec, Base(), NameTable(table), "")
        half = HalfModel.adopt(self.config, plan, body, BaseHead(Base(), body.spec, self.config))
        half.__dict__["model_type"] = self.model_type
        return half


class HalfModel(StackModel):
    """The encoder or decoder of an encoder-decoder."""

    def forward(self, *args: Any, return_dict: bool | None = None,
                **kwargs: Any) -> ModelOutput | tuple[Any, ...]:
        kwargs.setdefault("use_cache", False)
        output = super().forward(*args, return_dict=True, **kwargs)
        return finish(BaseModelOutput(output), return_dict, self.config)


def _as_sequence(given: Any) -> Any:
    return given if isinstance(given, tuple | list) else (given,)
