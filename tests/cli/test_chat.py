"""`enfold chat`: history, commands, stopping an answer, leaving."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tiny import save_chat_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    save_chat_model(folder)
    return folder


@pytest.fixture
def chat(command, model, monkeypatch):
    """`chat(text, *options)`: the lines of `text` typed into a chat."""

    def run(text: str, *options: str):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return command("chat", "-m", model, "--max-new-tokens", "4", "--set", "do_sample=false",
                       "--dtype", "float32", *options)

    return run


@pytest.fixture
def prompts(monkeypatch) -> list[list[dict[str, str]]]:
    """The conversations that the model is given, as they were then."""
    from enfold.cli.chat import Conversation

    seen: list[list[dict[str, str]]] = []
    ask = Conversation.ask

    def spy(self, text: str) -> None:
        seen.append([*self.messages, {"role": "user", "content": text}])
        ask(self, text)

    monkeypatch.setattr(Conversation, "ask", spy)
    return seen


def roles(messages: list[dict[str, str]]) -> list[str]:
    return [message["role"] for message in messages]


def test_history_grows_and_reset_forgets(chat, prompts) -> None:
    done = chat("hello\nand then?\n\n/reset\nagain\n/quit\nnever asked\n", "--system", "Be brief.")
    assert done.code == 0, done.err
    assert [roles(messages) for messages in prompts] == [
        ["system", "user"], ["system", "user", "assistant", "user"], ["system", "user"]]
    answers = done.out.splitlines()
    assert prompts[1][2]["content"] == answers[0]
    assert "new conversation" in done.err


def test_end_of_input_leaves(chat) -> None:
    assert chat("").code == 0


def test_an_unknown_slash_command_shows_the_commands(chat) -> None:
    done = chat("/what\n")
    assert "/reset" in done.err
    assert done.out == ""


def test_a_stopped_answer_is_kept(chat, prompts, monkeypatch) -> None:
    from enfold.cli.chat import Printer

    show = Printer.on_finalized_text

    def interrupt(self, text: str, stream_end: bool = False) -> None:
        show(self, "Half an", stream_end=False)
        monkeypatch.setattr(Printer, "on_finalized_text", show)
        raise KeyboardInterrupt

    monkeypatch.setattr(Printer, "on_finalized_text", interrupt)
    done = chat("hello\nand then?\n")
    assert done.code == 0
    assert "[stopped]" in done.err
    assert prompts[1][1]["content"].startswith("Half an")


def test_what_goes_wrong_is_said_and_the_chat_goes_on(chat, prompts, monkeypatch) -> None:
    from enfold.cli import chat as module
    from enfold.errors import GenerationError

    def fail(*_: object) -> None:
        raise GenerationError("too long. Do: /reset")

    monkeypatch.setattr(module, "Printer", fail)
    done = chat("hello\nhello?\n")
    assert done.code == 0
    assert done.err.endswith("enfold chat: too long. Do: /reset\n" * 2)
    assert roles(prompts[-1]) == ["user"]


def test_a_model_without_a_template_is_refused(command, tmp_path: Path) -> None:
    save_chat_model(tmp_path, template=None)
    done = command("chat", "-m", tmp_path)
    assert done.code == 1
    assert "has no chat template. Do: choose a chat model" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_at_the_prompt_leaves_cleanly(model) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "enfold", "chat", "-m", str(model)]
    chat = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs,
                            preexec_fn=heed_interrupts)
    os.close(theirs)
    shown = read_until(ours, b"> ")
    assert interrupt(chat) == 0
    assert b"Ctrl-D leaves" in shown
    assert b"Traceback" not in shown + read_until(ours, b"never")
    os.close(ours)


def interrupt(chat: subprocess.Popen[bytes]) -> int | None:
    """Ctrl-C until it leaves: readline misses one that comes while it prints the prompt."""
    for _ in range(5):
        chat.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return chat.wait(timeout=10)
    chat.kill()
    return chat.wait()


def heed_interrupts() -> None:
    """Test workers ignore Ctrl-C, and a child would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(terminal: int, end: bytes, seconds: float = 60) -> bytes:
    """What the terminal shows up to `end`, or until it closes."""
    shown, deadline = b"", time.monotonic() + seconds
    while end not in shown and time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # Linux: the other side closed
            break
        if not piece:
            break
        shown += piece
    return shown
