"""Chat templates render what transformers renders, in the sandbox, and encode with one BOS."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import SecurityError, TemplateError

from enfold.errors import TokenizerError
from tests.text.conftest import Pair
from tests.text.test_schema import get_weather

TURNS = [{"role": "system", "content": "Be <brief> & 'kind'"}, {"role": "user", "content": "Hi é"},
         {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "tool_calls": None},
         {"role": "user", "content": "Bye"}]
CALLS = [{"role": "user", "content": "Weather?"},
         {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdefghi", "type": "function",
          "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
         {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": "sun"},
         {"role": "user", "content": [{"type": "text", "text": "ok <b>"}, {"type": "image"}]}]
CHATML = ("{% for m in messages %}{{ '<s>' + m.role + '\\n' }}{% if m.role == 'assistant' %}"
          "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
          "{{ '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ '<s>assistant\\n' }}"
          "{% endif %}")
OPTIONS: list[dict[str, Any]] = [
    {}, {"add_generation_prompt": True}, {"tools": [get_weather]}, {"continue_final_message": True},
    {"documents": [{"title": "t", "text": "x"}], "enable_thinking": False}]


def rendered(tokenizer: Any, *args: Any, **options: Any) -> Any:
    try:
        return tokenizer.apply_chat_template(*args, tokenize=False, **options)
    except Exception as error:
        return error


def test_every_template_renders_as_in_transformers(pairs: dict[str, Pair],
                                                   shared_data: Path) -> None:
    theirs, ours = pairs["bytes"]
    count = 0
    for path in sorted((shared_data / "chat_templates").glob("*.jinja")):
        template = path.read_text("utf-8")
        for turns in (TURNS, TURNS[1:3], CALLS):
            for options in OPTIONS:
                want = rendered(theirs, turns, chat_template=template, **options)
                got = rendered(ours, turns, chat_template=template, **options)
                if isinstance(want, Exception):
                    assert isinstance(got, Exception), (path.name, want)
                else:
                    assert got == want, (path.name, options)
                    count += 1
    assert count > 500


def test_ids_masks_and_batches(pairs: dict[str, Pair]) -> None:
    theirs, ours = (copy.deepcopy(one) for one in pairs["bytes"])
    theirs.chat_template = ours.chat_template = CHATML
    for turns in (TURNS, [TURNS, TURNS[:2]]):
        for options in ({}, {"return_tensors": "np", "padding": True}, {"return_dict": False},
                        {"return_assistant_tokens_mask": True}, {"add_generation_prompt": True}):
            want = theirs.apply_chat_template(turns, **options)
            got = ours.apply_chat_template(turns, **options)
            if isinstance(want, list):
                assert got == want
            else:
                assert {key: got[key].tolist() if hasattr(got[key], "tolist") else got[key]
                        for key in got} == {key: want[key].tolist() if hasattr(want[key], "tolist")
                                            else want[key] for key in want}
    message = {"role": "user", "content": "more"}
    assert ours.encode_message_with_chat_template(message, TURNS) == \
        theirs.encode_message_with_chat_template(message, TURNS)


def test_a_rendered_chat_gets_no_second_bos(ours: Any) -> None:
    tokenizer = ours("bytes", chat_template="{{ bos_token }}{{ messages[0].content }}")
    text = tokenizer.apply_chat_template(TURNS[1:2], tokenize=False)
    assert tokenizer(text)["input_ids"].count(0) == 1
    assert tokenizer([text, text])["input_ids"][1].count(0) == 1
    assert tokenizer(text + " and more")["input_ids"].count(0) == 1
    assert tokenizer("well: " + text)["input_ids"].count(0) == 1
    assert tokenizer(copy.copy(text))["input_ids"] == \
        tokenizer.apply_chat_template(TURNS[1:2])["input_ids"]
    assert tokenizer(str.__str__(text) + "")["input_ids"].count(0) >= 1
    with pytest.raises(TokenizerError, match="1 of 2 texts are rendered chats"):
        tokenizer([text, "plain"])


def test_templates_by_name(ours: Any) -> None:
    tokenizer = ours("bytes", chat_template=[{"name": "default", "template": "d"},
                                             {"name": "tool_use", "template": "t"}])
    assert tokenizer.apply_chat_template(TURNS, tokenize=False) == "d"
    assert tokenizer.apply_chat_template(TURNS, tools=[get_weather], tokenize=False) == "t"
    assert tokenizer.apply_chat_template(TURNS, chat_template="tool_use", tokenize=False) == "t"
    assert tokenizer.apply_chat_template(TURNS, chat_template="x{{1}}", tokenize=False) == "x1"
    tokenizer.chat_template = {"rag": "r"}
    with pytest.raises(TokenizerError, match="has the chat templates rag and none is the default"):
        tokenizer.apply_chat_template(TURNS)


def test_the_sandbox_shows_plain_data_only(ours: Any) -> None:
    class Rich:
        def delete(self) -> str:
            return "gone"

    tokenizer = ours("bytes")

    def render(template: str, **variables: Any) -> str:
        return str(tokenizer.apply_chat_template([{"role": "user", "content": Rich()}],
                                                 chat_template=template, tokenize=False,
                                                 **variables))

    assert render("{{ messages[0].content }}") == "<Rich>"
    assert render("{{ x | tojson }}", x={"a": ["<é>", 1.5, True, None]}) == \
        '{"a": ["<é>", 1.5, true, null]}'
    assert render("{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{i}}{% endfor %}") \
        == "1"
    assert len(render("{{ strftime_now('%Y') }}")) == 4
    for template, error in (("{{ ''.__class__.__mro__ }}", SecurityError),
                            ("{{ messages.append(1) }}", SecurityError),
                            ("{% set n = namespace(_a=1) %}", SecurityError),
                            ("{{ raise_exception('no system') }}", TemplateError)):
        with pytest.raises(error):
            render(template)


@pytest.mark.parametrize(("turns", "options", "message"), [
    (TURNS, {"chat_template": None}, "has no chat template: its model may not be a chat"),
    ([], {}, "the conversation is empty"),
    (["hi"], {}, "a chat message is 'hi', expected a dict"),
    (TURNS, {"continue_final_message": True, "add_generation_prompt": True}, "contradict"),
    (TURNS, {"return_assistant_tokens_mask": True, "tokenize": False}, "comes with the ids"),
    (TURNS, {"return_assistant_tokens_mask": True, "chat_template": "x"}, "generation %"),
    ([{"role": "user"}], {"continue_final_message": True}, "the last message has no 'content'"),
    (TURNS, {"continue_final_message": "note"}, "has no 'note' to go on"),
    (TURNS, {"continue_final_message": True, "chat_template": "{{ 1 }}"}, "never reads 'content'"),
    (TURNS, {"continue_final_message": True, "chat_template": "content"}, "changes or drops"),
    ([{"role": "user", "content": [{"type": "image"}]}], {"continue_final_message": True},
     "no text block to continue"),
    (TURNS, {"tools": [3]}, "a tool is 3, expected a function"),
    (TURNS, {"documents": ["x"]}, "a document is 'x', expected a dict"),
])
def test_wrong_chats(ours: Any, turns: Any, options: Any, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        ours("bytes").apply_chat_template(turns, **{"chat_template": CHATML, **options})


def test_what_is_not_there_yet_says_so(ours: Any) -> None:
    with pytest.raises(NotImplementedError, match="sanitize_control_tokens"):
        ours("bytes", chat_template="x").apply_chat_template(TURNS, sanitize_control_tokens=True)
    with pytest.raises(TokenizerError, match="can't add a generation prompt"):
        ours("bytes", chat_template="x").encode_message_with_chat_template(
            TURNS[0], add_generation_prompt=True)
