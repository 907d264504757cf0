"""Lists, generators and data sets: laziness, order, progress; batches equal single texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from enfold.tasks import KeyDataset, KeyPairDataset, streams
from tests.tasks.cases import CHAT, CONTEXT, GREEDY, LONG, PEOPLE, PREFILL, QUESTION, TEXTS

Make = Callable[..., Any]
MANY = [*TEXTS, PEOPLE, *(" ".join(PEOPLE.split()[:n]) for n in range(1, 12))]
QUESTIONS = [
    {"question": QUESTION, "context": c} for c in (CONTEXT, PEOPLE, LONG, "Berlin", TEXTS[5])
]
TASKS = [
    ("text-classification", "bert-classes", MANY, {"top_k": None}),
    ("text-classification", "gpt2-classes", MANY[:3], {"top_k": None}),
    ("token-classification", "bert-ner", MANY, {"ignore_labels": []}),
    (
        "token-classification",
        "bert-ner",
        [LONG, *MANY],
        {"stride": 4, "aggregation_strategy": "max"},
    ),
    ("question-answering", "bert-qa", QUESTIONS, {"top_k": 2}),
    ("fill-mask", "bert-mlm", [f"{text} [MASK]" for text in MANY], {}),
    ("feature-extraction", "bert-base", MANY, {}),
    ("zero-shot-classification", "bert-nli", MANY[:3], {"candidate_labels": ["sport", "politics"]}),
    ("text-generation", "gpt2", [text or "a" for text in MANY], GREEDY),
    ("text-generation", "gpt2", MANY[:2], {"do_sample": False, "max_length": 12}),
    ("text-generation", "llama", [CHAT, PREFILL, CHAT * 2], GREEDY),
    ("text2text-generation", "t5", MANY[:5], {"max_new_tokens": 5}),
    ("summarization", "bart", MANY[:5], {"max_new_tokens": 7, "return_tensors": True}),
]
IDS = [f"{task}-{name}-{n}" for n, (task, name, *_) in enumerate(TASKS)]


def close(got: Any, want: Any) -> None:
    """Equal, numbers within 1e-5."""
    if isinstance(want, dict):
        assert list(got) == list(want)
        got, want = list(got.values()), list(want.values())
    if isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            close(one, other)
    elif isinstance(want, torch.Tensor):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    elif isinstance(want, (float, np.floating)):
        assert got == pytest.approx(want, rel=1e-5, abs=1e-5)
    else:
        assert got == want


@pytest.mark.parametrize(("task", "name", "items", "options"), TASKS, ids=IDS)
def test_many_give_what_each_gives_alone(
    task: str, name: str, items: list[Any], options: dict[str, Any], make: Make
) -> None:
    pipe = make(task, name)
    singles = [pipe(item, **options) for item in items]
    if (
        "2text" in task
        or task == "summarization"
        or (task == "text-classification" and not options)
    ):
        singles = [single[0] for single in singles]
    close(pipe(items, **options), singles)
    close(pipe(items, batch_size=3, **options), singles)
    assert pipe.scheduler.counts["batches"] > 0


@pytest.mark.parametrize(
    ("task", "name", "items", "options"), TASKS[:2] + TASKS[8:9], ids=["a", "b", "c"]
)
def test_generators_and_data_sets_give_the_same_as_lists(
    task: str, name: str, items: list[Any], options: dict[str, Any], make: Make
) -> None:
    pipe = make(task, name)
    expected = pipe(items, **options)
    stream = pipe((item for item in items), **options)
    assert isinstance(stream, Iterator)
    close(list(stream), expected)
    close(list(pipe(Indexed(items), **options)), expected)
    close(list(pipe(KeyDataset([{"text": item} for item in items], "text"), **options)), expected)
    assert len(pipe(Indexed(items), **options)) == len(items)
    with pytest.raises(TypeError, match="without a length"):
        len(pipe(iter(items), **options))


class Indexed:
    """A data set as torch has them: a length and items, no iterator."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def test_pairs_from_a_data_set(make: Make) -> None:
    pipe = make("text-classification", "bert-classes")
    rows = [{"a": "the fox", "b": "the dog"}]
    assert list(pipe(KeyPairDataset(rows, "a", "b"))) == [
        pipe({"text": "the fox", "text_pair": "the dog"})
    ]


def test_only_a_window_of_a_stream_is_held(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WINDOW", 64)
    pipe = make("text-classification", "bert-classes")
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        for _ in range(400):
            read += 1
            yield "the fox"

    ahead = []
    for given, _ in enumerate(pipe(source()), start=1):
        ahead.append(read - given)
    assert read == len(ahead) == 400
    assert max(ahead) < 64
    assert ahead[0] == 0  # the first result does not wait for a second item


def test_a_slow_source_is_answered_item_by_item(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SLOW", 0.0)
    seen: list[str] = []
    pipe = make("text-classification", "bert-classes")
    for _ in pipe(seen.append("read") or text for text in ["a", "b", "c"]):
        seen.append("result")
    assert seen == ["read", "result"] * 3


def test_batch_size_one_never_reads_ahead(make: Make) -> None:
    pipe = make("text-classification", "bert-classes")
    answers: list[Any] = []

    def waits() -> Iterator[str]:
        for n in range(20):
            assert len(answers) == n
            yield "the fox"

    for answer in pipe(waits(), batch_size=1):
        answers.append(answer)
    assert len(answers) == 20


def test_zero_shot_windows_hold_fewer_texts_for_many_labels(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WINDOW", 8)
    pipe = make("zero-shot-classification", "bert-nli")
    sizes = []
    pre = pipe.pre
    monkeypatch.setattr(
        pipe, "pre", lambda window, options: sizes.append(len(window)) or pre(window, options)
    )
    pipe(["the fox"] * 5, candidate_labels=["a", "b", "c", "d"])
    assert sizes == [2, 2, 1]


def test_progress_counts_items(make: Make) -> None:
    calls: list[dict[str, Any]] = []
    counted = 0

    def bar(results: Iterator[Any], **kwargs: Any) -> Iterator[Any]:
        nonlocal counted
        calls.append(kwargs)
        for result in results:
            counted += 1
            yield result

    make("text-classification", "bert-classes")(MANY, progress=bar)
    assert calls == [{"total": len(MANY), "desc": "text-classification"}]
    assert counted == len(MANY)


def test_no_progress_bar_unless_asked_or_on_a_terminal(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = make("text-classification", "bert-classes")
    pipe(["a"] * 300)
    assert capsys.readouterr().err == ""
    pipe(["a"] * 3, progress=True)
    assert "3/3" in capsys.readouterr().err


def test_windows_follow_the_speed_of_the_source() -> None:
    def slow() -> Iterator[int]:
        for n in range(20):
            if n in (7, 8):
                time.sleep(streams.SLOW * 1.5)
            yield n

    sizes = [len(window) for window in streams.windows(slow(), 8, live=True)]
    assert sizes[:4] == [1, 2, 4, 8]
    assert sizes[4] == 1  # the source was slow
    assert [len(w) for w in streams.windows(iter(range(20)), 8, live=False)] == [8, 8, 4]


def test_a_tuple_is_a_list_and_an_empty_list_is_empty(make: Make) -> None:
    pipe = make("text-classification", "bert-classes")
    assert pipe(("a", "b")) == pipe(["a", "b"])
    assert pipe([]) == []


def test_results_are_no_inference_tensors(make: Make) -> None:
    features = make("feature-extraction", "bert-base")("the fox", return_tensors=True)
    assert not features.is_inference()
    assert not torch.is_inference_mode_enabled()
