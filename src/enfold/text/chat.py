"""Chats: messages through a tokenizer's jinja template, as text or as ids."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from enfold.errors import TokenizerError
from enfold.settings import compat
from enfold.text.batch import BatchEncoding
from enfold.text.decode import Decoder
from enfold.text.inputs import ChatText
from enfold.text.schema import get_json_schema

Message = dict[str, Any]
Tool = dict[str, Any] | Callable[..., Any]
TAG = "CONTINUE_FINAL_MESSAGE_TAG "  # its trailing space tells whether a template strips
REASONING = ("reasoning_content", "thinking", "reasoning")  # one thing, under three names
GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


class Chatter(Decoder):
    """`tokenizer.apply_chat_template(messages)`."""

    chat_template: str | dict[str, str] | None = None

    def apply_chat_template(self, conversation: Any, tools: Sequence[Tool] | None = None,
                            documents: Sequence[dict[str, str]] | None = None,
                            chat_template: str | None = None, add_generation_prompt: bool = False,
                            continue_final_message: bool | str = False, tokenize: bool = True,
                            padding: bool | str = False, truncation: bool = False,
                            max_length: int | None = None, return_tensors: str | None = None,
                            return_dict: bool | None = None,
                            return_assistant_tokens_mask: bool = False,
                            tokenizer_kwargs: dict[str, Any] | None = None,
                            sanitize_control_tokens: bool = False, **variables: Any) -> Any:
        """Render a conversation (or a list of them) and encode it.

        conversation: [{"role": ..., "content": ...}, ...].  tools: functions with type hints and
        docstrings, or JSON schemas.  `continue_final_message` leaves the last message open.
        Further keywords are variables of the template.  Returns a BatchEncoding; ids alone with
        `return_dict=False` (the default under `set_compat("4")`); the text with `tokenize=False`, a
        str that the tokenizer adds no
        special tokens to.
        """
        if return_dict is None:
            return_dict = compat() == "5" or return_assistant_tokens_mask
        if sanitize_control_tokens:
            raise NotImplementedError("sanitize_control_tokens=True is not there yet. Do: take the "
                                      "tokenizer's all_special_tokens out of user text")
        if return_assistant_tokens_mask and not (return_dict and tokenize):
            raise TokenizerError("return_assistant_tokens_mask=True comes with the ids. "
                                 "Do: tokenize=True, return_dict=True")
        template = self.get_chat_template(chat_template, tools)
        if not _messages(conversation):
            raise TokenizerError("the conversation is empty: expected at least one message, "
                                 "[{'role': 'user', 'content': '...'}]")
        batched = isinstance(conversation, (list, tuple)) and (
            isinstance(conversation[0], (list, tuple)) or hasattr(conversation[0], "messages"))
        texts, spans = render(
            conversation if batched else [conversation], template, tools, documents,
            add_generation_prompt, continue_final_message, return_assistant_tokens_mask,
            {**self.special_tokens_map, **variables})
        rendered = texts if batched else texts[0]
        if not tokenize:
            return rendered
        out = self(rendered, padding=padding, truncation=truncation, max_length=max_length,
                   add_special_tokens=False, return_tensors=return_tensors,
                   **(tokenizer_kwargs or {}))
        if return_assistant_tokens_mask:
            _mark_assistant(out, spans, batched, return_tensors)
        return out if return_dict else out["input_ids"]

    def get_chat_template(self, chat_template: str | None = None,
                          tools: Sequence[Tool] | None = None) -> str:
        """The template in use: a text, one of the tokenizer's by name, or its own for tools."""
        own = self.chat_template
        if isinstance(own, dict):
            if chat_template is not None:
                return own.get(chat_template, chat_template)
            for name in ("tool_use", "default") if tools is not None else ("default",):
                if name in own:
                    return own[name]
            raise TokenizerError(f"this tokenizer has the chat templates {', '.join(sorted(own))} "
                                 "and none is the default. Do: chat_template='<one of them>'")
        template = own if chat_template is None else chat_template
        if template is None:
            raise TokenizerError("this tokenizer has no chat template: its model may not be a chat "
                                 "model. Do: use an instruct model, or set tokenizer.chat_template")
        return template

    def encode_message_with_chat_template(self, message: Message,
                                          conversation_history: list[Message] | None = None,
                                          **options: Any) -> list[int]:
        """The ids that one more message adds to a conversation."""
        if "add_generation_prompt" in options:
            raise TokenizerError("encode_message_with_chat_template can't add a generation prompt: "
                                 "encode it on its own")
        options |= {"return_dict": False}
        history = conversation_history or []
        ids: list[int] = self.apply_chat_template([*history, message], **options)
        if not history:
            return ids
        before = self.apply_chat_template(history, **options)
        pairs = enumerate(zip(before, ids, strict=False))
        return ids[next((n for n, (a, b) in pairs if a != b), min(len(before), len(ids))):]


def render(conversations: Sequence[Any], template: str, tools: Sequence[Tool] | None,
           documents: Sequence[Any] | None, add_generation_prompt: bool,
           continue_final: bool | str, mark: bool,
           variables: dict[str, Any]) -> tuple[list[ChatText], list[list[tuple[int, int]]]]:
    """Each conversation as text, and the characters that the assistant wrote (if `mark`)."""
    from enfold.text.jinja import compiled, plain, split_marks

    if continue_final and (add_generation_prompt or mark):
        what = "add_generation_prompt" if add_generation_prompt else "return_assistant_tokens_mask"
        raise TokenizerError(f"continue_final_message and {what} contradict each other: the first "
                             "leaves the last message open. Choose one")
    if mark and not GENERATION.search(template):
        raise TokenizerError("return_assistant_tokens_mask=True needs a template that marks the "
                             "assistant's text with {% generation %}; this one does not")
    data = {**plain(variables), "tools": plain(_schemas(tools)), "documents": _documents(documents),
            "add_generation_prompt": add_generation_prompt, "_mark_generation": mark}
    texts, spans = [], []
    for conversation in conversations:
        messages = [_message(plain(one)) for one in _messages(conversation)]
        if continue_final:
            field = continue_final if isinstance(continue_final, str) else "content"
            text = _continued(compiled(template), template, messages, field, data)
        else:
            text = compiled(template).render(**data, messages=messages)
        text, found = split_marks(text) if mark else (text, [])
        texts.append(ChatText(text))
        spans.append(found)
    return texts, spans


def _messages(conversation: Any) -> Any:
    return getattr(conversation, "messages", conversation)


def _message(message: Message) -> Message:
    """Without its empty fields, and with its reasoning under the name a template may read."""
    if not isinstance(message, dict):
        raise TokenizerError(f"a chat message is {message!r}, expected a dict such as "
                             "{'role': 'user', 'content': '...'}")
    message = {key: value for key, value in message.items() if value is not None}
    reasoning = next((message[key] for key in REASONING if key in message), None)
    if reasoning is None:
        return message
    return {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _schemas(tools: Sequence[Tool] | None) -> list[dict[str, Any]] | None:
    if tools is None:
        return None
    out = []
    for tool in tools:
        if isinstance(tool, dict):
            out.append(tool)
        elif inspect.isfunction(tool) or inspect.ismethod(tool):
            out.append(get_json_schema(tool))
        else:
            raise TokenizerError(f"a tool is {tool!r}, expected a function with type hints and a "
                                 "docstring, or a JSON schema (dict)")
    return out


def _documents(documents: Sequence[Any] | None) -> Any:
    from enfold.text.jinja import plain

    for document in documents or ():
        if not isinstance(document, dict):
            raise TokenizerError(f"a document is {document!r}, expected a dict with 'title' and "
                                 "'text'")
    return plain(documents)


def _continued(compiled: Any, template: str, messages: list[Message], field: str,
               data: dict[str, Any]) -> str:
    """Render with a tag at the end of the last message, and cut there."""
    last = messages[-1] if messages else {}
    text = last.get(field)
    if text is None:
        raise TokenizerError(f"continue_final_message: the last message has no {field!r} to go on")
    fields = [one for one in REASONING if last.get(one) == text] if field in REASONING else [field]
    if not any(one in template for one in fields):
        raise TokenizerError(f"continue_final_message: the chat template never reads {field!r}")
    if isinstance(text, list):
        text = _tag_block(text)
    else:
        last.update(dict.fromkeys(fields, text + TAG))
    out: str = compiled.render(**data, messages=messages)
    if text.strip() not in out or TAG.strip() not in out:
        raise TokenizerError("continue_final_message: the chat template changes or drops the last "
                             f"message, so it can't be continued. Message: {text!r}; chat: {out!r}")
    place = out.rindex(TAG.strip())
    return out[:place] if out.startswith(TAG, place) else out[:place].rstrip()


def _tag_block(blocks: list[Any]) -> str:
    for block in reversed(blocks):
        if "text" in block:
            text: str = block["text"]
            block["text"] = text + TAG
            return text
    raise TokenizerError("continue_final_message: the last message has no text block to continue")


def _mark_assistant(out: BatchEncoding, spans: list[list[tuple[int, int]]], batched: bool,
                    tensors: str | None) -> None:
    """`assistant_masks`: 1 for the assistant's tokens."""
    rows = out["input_ids"] if batched or tensors else [out["input_ids"]]
    masks = []
    for row, places in enumerate(spans):
        mask = [0] * len(rows[row])
        for start, end in places:
            first = out.char_to_token(row, start)
            if first is None:  # cut off
                break
            last = out.char_to_token(row, end - 1)
            stop = len(mask) if last is None else last + 1
            mask[first:stop] = [1] * (stop - first)
        masks.append(mask)
    out["assistant_masks"] = masks if batched or tensors else masks[0]
    out.convert_to_tensors(tensors)
