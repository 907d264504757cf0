"""The rows being written and the model's state on them: one call of the model per step.

    context   | offset |          ids          |     offset: positions without ids, which are
              |  held by the cache   |  fresh  |     embeddings or the past of a chat

Buffers grow by doubling: a step writes one column and makes no tensors beside the model's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.generate.graphs import captured
from enfold.generate.prompt import Prompt, accepted

ROOM = 256  # columns allocated ahead


class Session:
    """The rows of a prompt, `copies` of each (beams, or several samples).

    longest: ids in a row at most.  The copies share the reading of the prompt, the model's state is
    copied after it, unless `trace` (output_attentions, output_hidden_states) has to show every
    copy.
    """

    def __init__(self, model: Any, prompt: Prompt, longest: int, *, copies: int = 1,
                 use_cache: bool = True, trace: dict[str, bool] | None = None) -> None:
        self.model, self.prompt, self.copies = model, prompt, copies
        self.length = prompt.ids.shape[1]
        self.offset = prompt.context - self.length
        self.cache, self.held = prompt.cache, 0
        if self.cache is not None:
            self.held = self.cache.get_seq_length()
        elif use_cache:
            room = min(self.offset + longest, prompt.context + ROOM)
            self.cache = model.new_cache(prompt.ids.shape[0], room)
        self.buffer = _widened(prompt.ids, min(longest, self.length + ROOM), 0)
        self.mask = prompt.mask
        self.places: Tensor | None = None  # [B, 1] the position read last, where rows differ
        self.step: Any = None
        self._fix(prompt, use_cache, trace or {})
        if trace:
            self._spread()

    def _fix(self, prompt: Prompt, use_cache: bool, trace: dict[str, bool]) -> None:
        """What every call of the model gets."""
        takes = accepted(self.model)
        side = "decoder_" if self.model.config.is_encoder_decoder else ""
        self.ids_name, self.mask_name = f"{side}input_ids", f"{side}attention_mask"
        self.placed: bool = "position_ids" in takes and not side and (
            prompt.mask is not None or prompt.positions is not None)
        self.fixed: dict[str, Any] = {**prompt.fixed, **trace,
                                      "use_cache": use_cache, "return_dict": True}
        if self.cache is not None:
            self.fixed["past_key_values"] = self.cache
        if "logits_to_keep" in takes:
            self.fixed["logits_to_keep"] = 1

    @property
    def ids(self) -> Tensor:
        """The rows so far [B, T]."""
        return self.buffer[:, : self.length]

    def forward(self) -> tuple[Tensor, Any]:
        """Read what is fresh: (logits [B, V] for the next token, the model's output).

        A single token goes through the model's stepper, which has no output but the logits: None.
        """
        if self.step is not None and self.offset + self.length == self.held + 1:
            return self._step(), None
        output = self.model(**self._inputs(), **self.fixed)
        self._find_step()
        self.prompt.embeds = None  # read; from here on there are ids
        if self.cache is not None:
            self.held = self.offset + self.length
        logits = output.logits[:, -1]
        if self.copies > 1:
            logits = logits.repeat_interleave(self.copies, 0)
            self._spread()
        return logits, output

    def _find_step(self) -> None:
        """A stepper for the tokens after the prompt, where nothing asks for more than logits."""
        offers = getattr(self.model, "stepper", None)
        shown = self.fixed.get("output_attentions") or self.fixed.get("output_hidden_states")
        if offers is None or self.cache is None or shown or self.prompt.per_token:
            return
        self.step = captured(offers(self.cache, self.offset + self.buffer.shape[1]))

    def _step(self) -> Tensor:
        inputs = self._inputs()
        memory = self.fixed.get("attention_mask") if self.mask_name != "attention_mask" else None
        self.held = self.offset + self.length
        logits: Tensor = self.step(inputs[self.ids_name], inputs.get("position_ids"),
                                   inputs.get(self.mask_name), memory)
        return logits

    def append(self, tokens: Tensor) -> None:
        """Write one token [B] at the end of each row."""
        if self.length == self.buffer.shape[1]:
            self.buffer = _widened(self.buffer, 2 * self.length, 0)
        self.buffer[:, self.length] = tokens
        self.length += 1

    def reorder(self, rows: Tensor) -> None:
        """Go on with the rows [B], in this order, repeats allowed; each of its own prompt."""
        self.buffer[:, : self.length] = self.ids.index_select(0, rows)
        if self.cache is not None:
            self.cache.reorder(rows, within=True)

    def crop(self, count: int) -> None:
        """Take back the last `count` tokens."""
        if count:
            self.length -= count
            if self.cache is not None:
                self.cache.crop(self.held - count)

    def _inputs(self) -> dict[str, Any]:
        end, prompt = self.offset + self.length, self.prompt
        fresh = end - self.held
        if prompt.embeds is not None:
            inputs: dict[str, Any] = {"inputs_embeds": prompt.embeds[:, -fresh:]}
        else:
            inputs = {self.ids_name: self.buffer[:, self.length - fresh : self.length]}
        if self.mask is not None:
            if end > self.mask.shape[1]:
                self.mask = _widened(self.mask, end + ROOM, 1)
            inputs[self.mask_name] = self.mask[:, :end]
        if self.placed:
            inputs["position_ids"] = self._position_ids(end, fresh)
        for name, value in prompt.per_token.items():
            inputs[name] = self._continued(value, 0)[:, -fresh:]
        return inputs

    def _position_ids(self, end: int, fresh: int) -> Tensor:
        """Positions [B, T] of what is fresh: as given, or counted over what is not padding."""
        if self.places is not None:
            self.places += 1
            return self.places
        if self.prompt.positions is not None:
            places = self._continued(self.prompt.positions, 1)
        else:
            places = self.mask[:, :end].cumsum(1).sub_(1).clamp_(min=0)  # type: ignore[index]
        if self.cache is not None:
            self.places = places[:, -1:].clone()
        return places[:, -fresh:]

    def _continued(self, value: Tensor, step: int) -> Tensor:
        """`value` [B, T] of the prompt with a column for each new token, `step` more each."""
        new = self.length - self.prompt.ids.shape[1]
        if not new:
            return value
        rising = torch.arange(1, new + 1, device=value.device, dtype=value.dtype) * step
        return torch.cat((value, value[:, -1:] + rising), 1)

    def _spread(self) -> None:
        """Make the copies of every row."""
        count, self.copies = self.copies, 1
        if count == 1:
            return
        self.buffer, self.mask, self.places = (
            _repeated(value, count) for value in (self.buffer, self.mask, self.places))
        self.prompt = self.prompt.repeated(count)
        self.fixed = {name: _repeated(value, count) for name, value in self.fixed.items()}
        if self.held and self.cache is not None:
            rows = torch.arange(self.buffer.shape[0] // count, device=self.buffer.device)
            self.cache.reorder(rows.repeat_interleave(count))


def _widened(rows: Tensor, width: int, fill: int) -> Tensor:
    """`rows` [B, T] in a buffer [B, width], the new columns filled."""
    buffer = rows.new_full((rows.shape[0], max(width, rows.shape[1])), fill)
    buffer[:, : rows.shape[1]] = rows
    return buffer


def _repeated(value: Any, count: int) -> Any:
    """`value` with `count` copies of each row, if it is a tensor or a dictionary of them."""
    if isinstance(value, Tensor):
        return value.repeat_interleave(count, 0)
    if isinstance(value, dict):
        return type(value)(**{name: _repeated(item, count) for name, item in value.items()})
    return value
