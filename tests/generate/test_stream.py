"""Text out while it is made, stop strings, and the loop as an iterator."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import Any

import pytest
import tokenizers
import torch
import transformers as hf

from enfold.errors import GenerationError
from enfold.generate import (
    AsyncTextIteratorStreamer,
    BaseStreamer,
    Session,
    StoppingCriteria,
    TextIteratorStreamer,
    TextStreamer,
    decode,
)
from enfold.generate.resolve import resolve
from enfold.generate.rows import prepare
from enfold.generate.stopping import (
    EosTokenCriteria,
    Halt,
    MaxLengthCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)
from tests.generate.conftest import DECODERS, Pair, prompts

WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "stop",
    "st",
    "op",
    "topper",
    "las",
    "ped",
    "\n",
    " ",
    "the",
    " cat",
    " sat",
    "日",
    "本",
    "o",
    "p",
    "s",
    "t",
    "er",
    *"abcdef",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    vocab = {word: i for i, word in enumerate(WORDS)} | {f" w{i}": i for i in range(len(WORDS), 41)}
    engine = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="<pad>"))
    engine.decoder = tokenizers.decoders.Fuse()
    engine.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    return hf.PreTrainedTokenizerFast(tokenizer_object=engine, eos_token="</s>",
                                      clean_up_tokenization_spaces=False)


class Pieces(TextStreamer):
    """Keeps what would be printed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pieces: list[tuple[str, bool]] = []

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.pieces.append((text, stream_end))


class TheirPieces(hf.TextStreamer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pieces: list[tuple[str, bool]] = []

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.pieces.append((text, stream_end))


@pytest.mark.parametrize("skip_prompt", [False, True])
def test_pieces_are_those_of_the_reference(tokenizer: Any, skip_prompt: bool) -> None:
    ids = [11, 12, 13, 9, 14, 15, 3, 10, 6, 25, 2]
    for cls in (Pieces, TheirPieces):
        streamer = cls(tokenizer, skip_prompt, skip_special_tokens=True)
        streamer.put(torch.tensor([[11, 12]]))
        for token in ids:
            streamer.put(torch.tensor([token]))
        streamer.end()
        if cls is Pieces:
            ours = streamer.pieces
    assert ours == streamer.pieces
    assert ours[-1][1]


def test_text_streamer_prints(tokenizer: Any, pairs: dict[str, Pair], capsys: Any) -> None:
    found = pairs["llama"].ours.generate(prompts(1), max_new_tokens=6,
                                         streamer=TextStreamer(tokenizer, skip_prompt=True))
    assert capsys.readouterr().out == tokenizer.decode(found[0, 7:]) + "\n"


def test_several_rows_are_refused(tokenizer: Any, pairs: dict[str, Pair]) -> None:
    with pytest.raises(GenerationError) as caught:
        pairs["llama"].ours.generate(prompts(2), max_new_tokens=6, streamer=TextStreamer(tokenizer))
    assert str(caught.value) == (
        "TextStreamer got 2 rows, expected one. Do: generate one prompt at a "
        "time, or write a BaseStreamer"
    )


def test_a_streamer_of_ones_own_sees_every_token(pairs: dict[str, Pair]) -> None:
    class Keep(BaseStreamer):
        def __init__(self) -> None:
            self.values: list[Any] = []

        def put(self, value: Any) -> None:
            self.values.append(value)

        def end(self) -> None:
            self.values.append(None)

    keep = Keep()
    found = pairs["gpt2"].ours.generate(prompts(2), max_new_tokens=5, streamer=keep)
    assert keep.values[-1] is None
    tokens = torch.cat((keep.values[0], torch.stack(keep.values[1:-1], 1)), 1)
    assert tokens.tolist() == found.tolist()


def reading(model: Any, streamer: Any, **options: Any) -> threading.Thread:
    def work() -> None:
        with contextlib.suppress(GenerationError):
            model.generate(prompts(1), streamer=streamer, **options)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_iterator_in_another_thread(tokenizer: Any, pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=20)
    thread = reading(model, streamer, max_new_tokens=8)
    text = "".join(streamer)
    thread.join()
    assert text == tokenizer.decode(model.generate(prompts(1), max_new_tokens=8)[0, 7:])


def test_an_error_reaches_the_reader(tokenizer: Any, pairs: dict[str, Pair]) -> None:
    streamer = TextIteratorStreamer(tokenizer, timeout=20)
    reading(pairs["llama"].ours, streamer, max_new_tokens=0)
    with pytest.raises(GenerationError, match="max_new_tokens=0"):
        list(streamer)
    streamer.timeout = 0.01
    with pytest.raises(queue.Empty):
        next(streamer)


def test_asynchronous_iterator(tokenizer: Any, pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours

    async def read(**options: Any) -> str:
        streamer = AsyncTextIteratorStreamer(tokenizer, skip_prompt=True, timeout=20)
        reading(model, streamer, **options)
        return "".join([piece async for piece in streamer])

    text = asyncio.run(read(max_new_tokens=8))
    assert text == tokenizer.decode(model.generate(prompts(1), max_new_tokens=8)[0, 7:])
    with pytest.raises(GenerationError, match="max_new_tokens=0"):
        asyncio.run(read(max_new_tokens=0))


def test_an_interrupt_ends_the_stream(tokenizer: Any, pairs: dict[str, Pair]) -> None:
    class Interrupt(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> bool:
            if input_ids.shape[1] == 10:
                raise KeyboardInterrupt
            return False

    streamer = Pieces(tokenizer)
    with pytest.raises(KeyboardInterrupt):
        pairs["llama"].ours.generate(prompts(1), max_new_tokens=8, streamer=streamer,
                                     stopping_criteria=[Interrupt()])
    assert streamer.pieces[-1][1]


# ---- stopping ------------------------------------------------------------------------------------
@pytest.mark.parametrize("stop", ["stop", ["\n", "stopper"], "日本", " cat sat", "op", "</s>"])
def test_stop_strings_against_the_reference(tokenizer: Any, stop: Any) -> None:
    ours = StopStringCriteria(tokenizer, stop)
    theirs = hf.generation.stopping_criteria.StopStringCriteria(tokenizer, stop)
    ids = torch.randint(2, 21, (3000, 9), generator=torch.Generator().manual_seed(0))
    ids[:, -4:] = torch.randint(3, 10, (3000, 4), generator=torch.Generator().manual_seed(1))
    ids[:40, -2:] = torch.tensor([12, 13])
    ids[40:60, -2:] = torch.tensor([14, 15])
    ids[60:80, -1] = 2
    found = ours(ids)
    assert found.tolist() == theirs(ids, None).tolist()
    assert 0 < int(found.sum()) < len(ids)


def test_a_stop_string_split_inside_a_character() -> None:
    """Bytes of one character in several tokens: complete with the last of them."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    engine = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(letters)}, []))
    engine.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = tokenizers.decoders.ByteLevel()
    fast = hf.PreTrainedTokenizerFast(tokenizer_object=engine)
    ids = torch.tensor([fast("ab日本")["input_ids"]])
    stop = StopStringCriteria(fast, "日本")
    assert ids.shape[1] == 8
    assert [bool(stop(ids[:, :length])) for length in range(1, 9)] == [False] * 7 + [True]


@pytest.mark.parametrize("beams", [1, 3])
def test_stop_strings_in_generate(tokenizer: Any, pairs: dict[str, Pair], beams: int) -> None:
    plain = pairs["llama"].ours.generate(prompts(), max_new_tokens=10, num_beams=beams)
    stop = tokenizer.decode(plain[0, 9:11])
    ours, theirs = pairs["llama"].both(prompts(), max_new_tokens=10, stop_strings=[stop],
                                       tokenizer=tokenizer, num_beams=beams)
    assert ours.tolist() == theirs.tolist()


def test_criteria_of_ones_own(pairs: dict[str, Pair]) -> None:
    def seen(input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return input_ids[:, -1] % 5 == 0

    for options in ({}, {"num_beams": 3}):
        ours, theirs = pairs["llama"].both(prompts(), max_new_tokens=10, **options,
                                           stopping_criteria=hf.StoppingCriteriaList([seen]))
        assert ours.tolist() == theirs.tolist()


def test_max_length_and_end_criteria(pairs: dict[str, Pair]) -> None:
    model = pairs["llama"].ours
    found = model.generate(prompts(), max_new_tokens=10, eos_token_id=None,
                           stopping_criteria=[MaxLengthCriteria(9)])
    assert found.shape == (3, 9)
    criteria = StoppingCriteriaList([MaxLengthCriteria(9), EosTokenCriteria([2, 3])])
    assert criteria.max_length == 9
    assert criteria(torch.tensor([[5, 3], [3, 5]])).tolist() == [True, False]


def test_max_time(pairs: dict[str, Pair]) -> None:
    found = pairs["llama"].ours.generate(prompts(), max_new_tokens=50, max_time=1e-9,
                                         eos_token_id=None)
    assert found.shape == (3, 8)


def test_criteria_get_scores_when_they_are_kept(pairs: dict[str, Pair]) -> None:
    lengths: list[Any] = []

    def note(input_ids: Any, scores: Any, **kwargs: Any) -> bool:
        lengths.append(scores and len(scores))
        return False

    for options in ({}, {"return_dict_in_generate": True, "output_scores": True}):
        pairs["llama"].ours.generate(prompts(), max_new_tokens=3, eos_token_id=None,
                                     stopping_criteria=[note], **options)
    assert lengths == [None, None, None, 1, 2, 3]


# ---- the loop ------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", DECODERS)
def test_steps_one_by_one(pairs: dict[str, Pair], family: str) -> None:
    """What a server does: rows of a prompt, a halt, and a step at a time."""
    model = pairs[family].ours
    config = resolve(model, max_new_tokens=300, eos_token_id=None)
    prompt = prepare(model, prompts(), config, {})
    halt = Halt(3, 13, [], None, StoppingCriteriaList(), torch.device("cpu"))
    session = Session(model, prompt, longest=13)
    tokens = [step.tokens for step in decode(session, halt)]
    expected = model.generate(prompts(), max_new_tokens=6, eos_token_id=None)
    assert torch.stack(tokens, 1).tolist() == expected[:, 7:].tolist()
    assert session.ids.tolist() == expected.tolist()


def test_buffers_grow(pairs: dict[str, Pair], monkeypatch: Any) -> None:
    model = pairs["llama"].ours
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[1, :2] = 0
    expected = model.generate(prompts(), attention_mask=mask, max_new_tokens=30, eos_token_id=None)
    monkeypatch.setattr("enfold.generate.session.ROOM", 2)
    found = model.generate(prompts(), attention_mask=mask, max_new_tokens=30, eos_token_id=None)
    assert found.tolist() == expected.tolist()
