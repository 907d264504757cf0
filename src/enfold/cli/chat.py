"""`enfold chat`: a conversation in the terminal, answers streamed token by token."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from enfold import AutoModelForCausalLM, AutoTokenizer
from enfold.errors import EnfoldError, InputError
from enfold.generate.stream import TextStreamer

HELP = "/reset forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an answer"


class Printer(TextStreamer):
    """Writes an answer while it is made and keeps it, so that a stopped answer is not lost."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.answer = ""

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print the text that is certain by now."""
        self.answer += text
        print(text, end="\n" if stream_end else "", flush=True)


class Conversation:
    """The messages so far and the model that answers them."""

    def __init__(self, model: Any, tokenizer: Any, system: str | None,
                 options: Mapping[str, Any]) -> None:
        self.model, self.tokenizer, self.options = model, tokenizer, options
        self.start = [{"role": "system", "content": system}] if system else []
        self.messages = list(self.start)

    def reset(self) -> None:
        """Forget all but the system message."""
        self.messages = list(self.start)

    def ask(self, text: str) -> None:
        """Print the answer to `text` and remember both; Ctrl-C ends it and keeps what was said."""
        printer = Printer(self.tokenizer)
        self.messages.append({"role": "user", "content": text})
        try:
            inputs = self.tokenizer.apply_chat_template(
                self.messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
            self.model.generate(**inputs.to(self.model.device), streamer=printer, **self.options)
        except KeyboardInterrupt:
            print("[stopped]", file=sys.stderr)
        except Exception:
            del self.messages[-1]
            raise
        self.messages.append({"role": "assistant", "content": printer.answer})


def main(args: Namespace) -> int:
    """Read lines and answer them until /quit, the end of input, or Ctrl-C at the prompt."""
    tokenizer = AutoTokenizer.from_pretrained(args.model, revision=args.revision)
    if not tokenizer.chat_template:
        raise InputError(f"{args.model}: its tokenizer has no chat template. Do: choose a chat "
                         "model, or enfold run text-generation")
    model = AutoModelForCausalLM.from_pretrained(
        args.model, revision=args.revision, dtype=args.dtype, device_map=args.device or "auto")
    options = {"max_new_tokens": args.max_new_tokens} | dict(args.options)
    conversation = Conversation(model, tokenizer, args.system, options)
    if sys.stdin.isatty():
        print(f"{args.model}: {HELP}", file=sys.stderr)
    while (line := prompt()) is not None:
        if line in ("/quit", "/exit"):
            break
        answer(conversation, line)
    return 0


def answer(conversation: Conversation, line: str) -> None:
    """One command or message.  What goes wrong with a message is said, and the chat goes on."""
    if line == "/reset":
        conversation.reset()
        print("[a new conversation]", file=sys.stderr)
    elif line.startswith("/"):
        print(HELP, file=sys.stderr)
    elif line:
        try:
            conversation.ask(line)
        except EnfoldError as error:
            print(f"enfold chat: {error}", file=sys.stderr)


def prompt() -> str | None:
    """The next line, or None at the end of the input or on Ctrl-C."""
    try:
        if not sys.stdin.isatty():
            line = sys.stdin.readline()
            return line.strip() if line else None
        with suppress(ImportError):  # Windows has none
            import readline  # noqa: F401 - gives input() editing and history
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        return None
