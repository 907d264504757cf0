"""text-generation: continue prompts, or answer chats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from enfold.errors import ArgumentError, InputError
from enfold.tasks import checks
from enfold.tasks.batching import Batch, Row, Scheduler
from enfold.tasks.generating import GenerationPipeline
from enfold.tasks.options import Passing


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of text-generation.

    return_full_text        False: only the new text
    return_tensors          True: `{"generated_token_ids": [ids]}` in place of text
    continue_final_message  of a chat: go on with its last message; by default if that is the
                            assistant's
    prefix                  put before every prompt, not shown in the result
    handle_long_generation  "hole": cut prompts on the left so that the new tokens fit
    stop_sequence           end at this text
    skip_special_tokens, clean_up_tokenization_spaces    for decoding
    add_special_tokens, truncation, padding, tokenizer_encode_kwargs    for the tokenizer
    tools, documents        for the chat template
    Other arguments go to `generate`: `max_new_tokens=`, `do_sample=`, `num_return_sequences=`, ...
    """

    PASSING = Passing(None)
    return_full_text: bool | None = None
    return_tensors: bool | None = None
    return_text: bool | None = None
    clean_up_tokenization_spaces: bool = True
    prefix: str | None = None
    handle_long_generation: str | None = None
    stop_sequence: str | list[str] | None = None
    truncation: bool | str | None = None
    padding: bool | str | None = None
    max_length: int | None = None
    add_special_tokens: bool | None = None
    continue_final_message: bool | None = None
    skip_special_tokens: bool = True
    tokenizer_encode_kwargs: Mapping[str, Any] | None = None
    tools: Any = None
    documents: Any = None
    rest: dict[str, Any] = field(default_factory=dict)

    @property
    def tokenizing(self) -> dict[str, Any]:
        """The tokenizer's arguments that were given."""
        given = {name: getattr(self, name)
                 for name in ("add_special_tokens", "truncation", "padding", "max_length")}
        set_ = {name: value for name, value in given.items() if value is not None}
        return set_ | dict(self.tokenizer_encode_kwargs or {})


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation: messages with "role" and "content"."""

    messages: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        for message in self.messages:
            if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
                raise InputError(f"chat message {checks.describe(message)} needs 'role' and "
                                 "'content'. Do: write {'role': 'user', 'content': '...'}")


class TextGenerationPipeline(GenerationPipeline[Options]):
    """`[{"generated_text": str}]` for a prompt, one dict per returned sequence.

    For a chat the text is the chat with the answer as a new message.  Unless the call or the
    model's generation config say otherwise it samples up to 256 tokens at temperature 0.7.
    """

    name = "text-generation"
    options = Options
    defaults = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}  # noqa: RUF012

    def __call__(self, text_inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Continue a prompt or a chat, or many of them."""
        if isinstance(text_inputs, (list, tuple)) and isinstance([*text_inputs, 0][0], dict):
            return self.apply(Chat(text_inputs), kwargs)
        return self.apply(text_inputs, kwargs)

    def resolve(self, options: Options) -> Options:
        """Check what excludes what; settle the arguments of `generate`."""
        if options.return_full_text is not None and (options.return_text or options.return_tensors):
            raise ArgumentError(f"{self.task}: return_full_text excludes return_text and "
                                "return_tensors. Do: give one of them")
        if options.return_text and options.return_tensors:
            raise ArgumentError(f"{self.task}: return_text excludes return_tensors. Do: give one")
        if options.handle_long_generation not in (None, "hole"):
            raise InputError(f"{self.task}: expected handle_long_generation=None or 'hole', got "
                             f"{options.handle_long_generation!r}")
        length = {} if options.max_length is None else {"max_length": options.max_length}
        settings = self.settings({**options.rest, **length}, options.stop_sequence)
        prefix = self.prefix if options.prefix is None else options.prefix
        if prefix:
            special = bool(options.add_special_tokens)
            extra = len(self.tokenizer(prefix, add_special_tokens=special)["input_ids"])
            settings |= {name: settings[name] + extra for name in ("max_length", "min_length")
                         if settings.get(name)}
        return replace(options, prefix=prefix, rest=settings)

    def settings_of(self, options: Options) -> Mapping[str, Any]:
        """The resolved arguments of `generate`."""
        return options.rest

    def ragged(self, options: Options) -> bool:
        """Limits on the whole length, prompt included, would count a batch's padding."""
        if self.limit_of(options.rest, "min_length"):
            return False
        return self.limit_of(options.rest, "max_new_tokens") is not None

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize the prompts together, the chats by their template."""
        items = [Chat(item) if isinstance(item, (list, tuple)) else item for item in window]
        texts = {place: f"{options.prefix}{checks.want_text(item, self.task)}"
                 for place, item in enumerate(items) if not isinstance(item, Chat)}
        encoded = self.encode(list(texts.values()), **options.tokenizing) if texts else {}
        found = dict(zip(texts, encoded.get("input_ids", []), strict=True))
        masks = dict(zip(texts, encoded.get("attention_mask", []), strict=False))
        rows = []
        for place, item in enumerate(items):
            if isinstance(item, Chat):
                ids, mask = self._chat(item, options)
            else:
                ids = found[place]
                mask = masks.get(place) or [1] * len(ids)
            rows.append(self._row(place, item, ids, mask, options))
        return rows

    def forward(self, batch: Batch, options: Options) -> list[Any]:
        """Per row the generated sequences from its first real token on."""
        width = max(batch.lengths)
        return [([ids[width - length:] for ids in sequences], extra) for (sequences, extra), length
                in zip(self.generate(batch, options.rest), batch.lengths, strict=True)]

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """One record per sequence."""
        row, (sequences, extra) = rows[0]
        if options.return_tensors:
            return [{"generated_token_ids": ids} for ids in sequences]
        prompt, prompt_ids = row.extra
        skipped = len(self._decode(prompt_ids, options)) if prompt_ids else 0
        more = _by_sequence(extra, len(sequences))
        texts = [self._decode(ids, options)[skipped:] for ids in sequences]
        return [{"generated_text": _joined(prompt, text, options)} | values
                for text, values in zip(texts, more, strict=True)]

    def _row(self, place: int, item: Any, ids: list[int], mask: list[int], options: Options) -> Row:
        if options.handle_long_generation == "hole":
            keep = self._room(len(ids), options)
            ids, mask = ids[-keep:], mask[-keep:]
        prompt = ids
        if not ids:
            start = self.limit_of(options.rest, "bos_token_id")
            if start is None:
                raise InputError(f"{self.task}: the prompt is empty and the model has no start "
                                 "token. Do: give a prompt")
            ids, mask = [int(start)], [1]
        return Row(place, {"input_ids": ids, "attention_mask": mask}, (item, prompt))

    def _room(self, length: int, options: Options) -> int:
        """How many tokens of a prompt stay so that the new ones fit behind them."""
        new = self.limit_of(options.rest, "max_new_tokens")
        if new is None:
            new = (self.limit_of(options.rest, "max_length") or 0) - length
        limit = self.tokenizer.model_max_length
        if new < 0 or new >= limit:
            raise InputError(f"{self.task}: handle_long_generation='hole' has no room for {new} "
                             f"tokens in the limit of {limit}. Do: set max_new_tokens below it")
        return length if length + new <= limit else limit - new

    def _chat(self, chat: Chat, options: Options) -> tuple[list[int], list[int]]:
        kwargs = options.tokenizing
        kwargs.pop("add_special_tokens", None)  # the template writes them
        for name in ("tools", "documents"):
            if getattr(options, name) is not None:
                kwargs[name] = getattr(options, name)
        goes_on = continues(chat, options)
        encoded = self.tokenizer.apply_chat_template(
            list(chat.messages), add_generation_prompt=not goes_on, continue_final_message=goes_on,
            tokenize=True, return_dict=True, **kwargs)
        ids = list(encoded["input_ids"])
        return ids, list(encoded.get("attention_mask") or [1] * len(ids))

    def _decode(self, ids: list[int], options: Options) -> str:
        text: str = self.tokenizer.decode(
            ids, skip_special_tokens=options.skip_special_tokens,
            clean_up_tokenization_spaces=options.clean_up_tokenization_spaces)
        return text

    def _scheduler(self) -> Scheduler:
        scheduler = super()._scheduler()
        scheduler.left = True
        return scheduler


def continues(chat: Chat, options: Options) -> bool:
    """Whether the answer belongs to the last message."""
    if options.continue_final_message is None:
        return bool(chat.messages[-1]["role"] == "assistant")
    return options.continue_final_message


def _joined(prompt: Any, text: str, options: Options) -> Any:
    """The new text with its prompt, if that is wanted."""
    if options.return_full_text is False:
        return text
    if isinstance(prompt, str):
        return prompt + text
    if not continues(prompt, options):
        return [*prompt.messages, {"role": "assistant", "content": text}]
    last = prompt.messages[-1]
    return [*prompt.messages[:-1], {"role": last["role"], "content": last["content"] + text}]


def _by_sequence(extra: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """What `generate` gave beside the sequences (scores, ...), as nested lists, per sequence."""
    import torch

    columns = {}
    for name, value in extra.items():
        if isinstance(value, tuple) and value and isinstance(value[0], torch.Tensor):
            value = torch.stack(value).swapaxes(0, 1)  # steps first -> sequences first
        if isinstance(value, torch.Tensor) and value.shape[0] == count:
            columns[name] = value.tolist()
    return [{name: values[line] for name, values in columns.items()} for line in range(count)]
