"""What a wrong call says: what failed, what it got, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import transformers

from enfold.errors import ArgumentError, FileMissing, InputError, TaskError, TokenizerError
from enfold.tasks import get_supported_tasks, pipeline
from enfold.tasks.base import find_device
from tests.tasks.cases import CHAT, CONTEXT, LONG, QUESTION

Make = Callable[..., Any]
LABELS = {"candidate_labels": ["a", "b"]}
CLASSES = ("text-classification", "bert-classes")
ANSWERS, ENTITIES, MASKS = (
    ("question-answering", "bert-qa"),
    ("ner", "bert-ner"),
    ("fill-mask", "bert-mlm"),
)
FEATURES, ZERO = ("feature-extraction", "bert-base"), ("zero-shot-classification", "bert-nli")
TEXT, SEQ2SEQ = ("text-generation", "gpt2"), ("text2text-generation", "t5")

WRONG: list[tuple[tuple[str, str], tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (CLASSES, (5,), {}, InputError, r"got int 5, expected a string or a pair"),
    (CLASSES, (None,), {}, InputError, r"got NoneType None"),
    (CLASSES, (["a", 7],), {}, InputError, r"got int 7"),
    (CLASSES, ([["a", "b"]],), {}, InputError, r'write a pair as \{"text": "one"'),
    (CLASSES, ({"txt": "a"},), {}, InputError, r"expected a string or a pair"),
    (
        CLASSES,
        (LONG,),
        {},
        InputError,
        r"a text has 188 tokens, the model has positions for 64. Do: pass truncation=True",
    ),
    (("fill-mask", "roberta-mlm"), ("<mask>" + " a" * 62,), {}, InputError, "has 65 .* for 64"),
    (CLASSES, ("a",), {"top_kk": 3}, ArgumentError, r"'top_kk' \(nearest: 'top_k'\)"),
    (
        CLASSES,
        ("a",),
        {"function_to_apply": "relu"},
        InputError,
        r"expected one of softmax, sigmoid, none",
    ),
    (("text-classification", "gpt2-classes"), ("",), {}, InputError, r"has no tokens at all"),
    (ENTITIES, ([],), {}, InputError, r"got an empty list"),
    (ENTITIES, (5,), {}, InputError, r"got int 5, expected a string"),
    (
        ENTITIES,
        ("a",),
        {"aggregation_strategy": "best"},
        InputError,
        r"expected one of none, simple, first",
    ),
    (ENTITIES, ("a",), {"stride": 4}, InputError, r"stride needs entities that can be merged"),
    (
        ENTITIES,
        ("a",),
        {"stride": 64, "aggregation_strategy": "max"},
        InputError,
        r"less than the tokenizer's limit",
    ),
    (
        ENTITIES,
        ("a b",),
        {"is_split_into_words": True},
        InputError,
        r"pass each text as a list of words",
    ),
    (ENTITIES, (["a", "b"],), {"offset_mapping": [(0, 1)]}, InputError, r"1 entries for 2 texts"),
    (
        ENTITIES,
        ("a",),
        {"agregation_strategy": "max"},
        ArgumentError,
        r"nearest: 'aggregation_strategy'",
    ),
    (ANSWERS, (), {"question": QUESTION}, InputError, r"'context' is missing"),
    (ANSWERS, (), {"question": QUESTION, "context": ""}, InputError, r"'context' is empty"),
    (ANSWERS, (), {"question": "", "context": CONTEXT}, InputError, r"'question' is empty"),
    (ANSWERS, (), {"question": 5, "context": CONTEXT}, InputError, r"question: got int 5"),
    (
        ANSWERS,
        (),
        {"question": QUESTION, "context": [CONTEXT]},
        InputError,
        r"two strings, two lists",
    ),
    (
        ANSWERS,
        (),
        {"question": ["a"], "context": ["b", "c"]},
        InputError,
        r"1 questions but 2 contexts",
    ),
    (ANSWERS, ("a",), {}, InputError, r"expected a question and its context"),
    (
        ANSWERS,
        (),
        {"question": "a", "context": "b", "top_k": 0},
        InputError,
        r"top_k=0, expected 1",
    ),
    (
        ANSWERS,
        (),
        {"question": "a", "context": "b", "max_answer_len": 0},
        InputError,
        r"max_answer_len=0",
    ),
    (
        ANSWERS,
        (),
        {"question": "a", "context": "b", "max_seq_len": 8, "doc_stride": 9},
        InputError,
        r"doc_stride=9 is larger than max_seq_len=8",
    ),
    (
        ANSWERS,
        (),
        {"question": LONG, "context": CONTEXT, "max_seq_len": 20},
        InputError,
        r"leaves no room for the context.*max_question_len",
    ),
    (MASKS, ("no mask",), {}, InputError, r"no mask token \(\[MASK\]\) in str 'no mask'"),
    (MASKS, (["[MASK]", "no"],), {}, InputError, r"in str 'no'"),
    (MASKS, (5,), {}, InputError, r"got int 5"),
    (MASKS, ("[MASK]",), {"targets": []}, InputError, r"holds no word of the vocabulary"),
    (MASKS, ("[MASK]",), {"top_k": 0}, InputError, r"top_k=0, expected 1 or more"),
    (MASKS, ("[MASK]",), {"topk": 2}, ArgumentError, r"nearest: 'top_k'"),
    (FEATURES, (LONG,), {}, InputError, r"positions for 64"),
    (
        FEATURES,
        ("a",),
        {"truncation": True, "tokenize_kwargs": {"truncation": True}},
        ArgumentError,
        r"given twice",
    ),
    (ZERO, ("a",), {"candidate_labels": []}, InputError, r"expected at least one"),
    (ZERO, ("a",), {}, InputError, r"got candidate_labels=None"),
    (ZERO, ("",), LABELS, InputError, r"got an empty text"),
    (ZERO, ("a", "x", "y"), {}, InputError, r"can't read the extra arguments"),
    (
        ZERO,
        ("a",),
        {**LABELS, "hypothesis_template": "This is it."},
        InputError,
        r"put a \{\} into it",
    ),
    (TEXT, (5,), {}, InputError, r"got int 5"),
    (
        TEXT,
        ("a",),
        {"return_full_text": True, "return_text": True},
        ArgumentError,
        r"excludes return_text",
    ),
    (TEXT, ("a",), {"return_full_text": True, "return_tensors": True}, ArgumentError, r"excludes"),
    (
        TEXT,
        ("a",),
        {"return_text": True, "return_tensors": True},
        ArgumentError,
        r"excludes return_tensors",
    ),
    (TEXT, ("a",), {"handle_long_generation": "cut"}, InputError, r"None or 'hole'"),
    (
        TEXT,
        (LONG,),
        {"handle_long_generation": "hole", "max_new_tokens": 70},
        InputError,
        r"has no room for 70",
    ),
    (TEXT, ([{"role": "user"}],), {}, InputError, r"needs 'role' and 'content'"),
    (
        TEXT,
        ([*CHAT, 5],),
        {},
        InputError,
        r"chat message int 5",
    ),
    (SEQ2SEQ, (5,), {}, InputError, r"got int 5"),
    (SEQ2SEQ, ([["a", "b"]],), {}, InputError, r"expected a string"),
    (SEQ2SEQ, ("a", "b"), {}, InputError, r"2 positional arguments, expected one"),
]


@pytest.mark.parametrize(
    ("where", "args", "kwargs", "error", "says"),
    WRONG,
    ids=[f"{n}-{case[0][0]}" for n, case in enumerate(WRONG)],
)
def test_wrong_calls(
    where: tuple[str, str], args: Any, kwargs: Any, error: type[Exception], says: str, make: Make
) -> None:
    with pytest.raises(error, match=says):
        make(*where)(*args, **kwargs)


def test_a_wrong_argument_is_told_when_the_pipeline_is_made(make: Make) -> None:
    with pytest.raises(
        ArgumentError, match=r"text-classification: unknown argument 'topk' \(nearest: 'top_k'\)"
    ):
        make(*CLASSES, topk=3)


@pytest.mark.parametrize(("name", "says"), [
    ("text-clasification", r"unknown task 'text-clasification' \(nearest: 'text-classification'"),
    ("translate", r"nearest: 'translation'.*Available: feature-extraction, fill-mask, ner"),
    ("translation_en_fr", r"not of the form 'translation_XX_to_YY'"),
])  # fmt: skip
def test_unknown_tasks(name: str, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        pipeline(name)


def test_translation_has_default_models_for_some_languages_only() -> None:
    with pytest.raises(
        TaskError, match=r"'translation_de_to_fi' has no default model.*translation_en_to_fr"
    ):
        pipeline("translation_de_to_fi")
    with pytest.raises(TaskError, match=r"'translation' has no default model"):
        pipeline("translation")


@pytest.mark.parametrize(
    ("task", "model", "says"),
    [
        (
            "text-classification",
            "bert-mlm",
            r"has no head for this task.*AutoModelForSequenceClassification.*'fill-mask'",
        ),
        ("ner", "bert-base", r"BertModel has no head for this task"),
        ("fill-mask", "bert-qa", r"made for 'question-answering'"),
        ("text-generation", "t5", r"made for 'text2text-generation'"),
        ("summarization", "gpt2", r"made for 'text-generation'"),
    ],
)
def test_a_model_with_another_head(task: str, model: str, says: str, oracle: Any) -> None:
    folder = oracle[0] / model
    config = transformers.AutoConfig.from_pretrained(folder)
    wrong = getattr(transformers, config.architectures[0]).from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with pytest.raises(TaskError, match=says):
        pipeline(task, model=wrong, tokenizer=tokenizer)


def test_a_head_that_shows_only_in_the_output(make: Make) -> None:
    pipe = make("feature-extraction", "bert-base")

    class Custom(type(pipe.model)):  # type: ignore[misc]
        """A class whose name says nothing."""

    pipe.model.__class__ = Custom
    try:
        with pytest.raises(TaskError, match=r"Custom gives last_hidden_state.* and no 'logits'"):
            pipeline("text-classification", model=pipe.model, tokenizer=pipe.tokenizer)("a")
    finally:
        pipe.model.__class__ = Custom.__mro__[1]


def test_a_missing_tokenizer(make: Make) -> None:
    model = make(*CLASSES).model
    with pytest.raises(TokenizerError, match=r"no tokenizer was given. Do: pass tokenizer="):
        pipeline("text-classification", model=model)


def test_a_tokenizer_without_a_mask(make: Make) -> None:
    model, tokenizer = make(*MASKS).model, make(*TEXT).tokenizer
    with pytest.raises(TokenizerError, match="the tokenizer has no mask token"):
        pipeline("fill-mask", model=model, tokenizer=tokenizer)("a")


def test_an_unknown_target_is_replaced_with_a_warning(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = make(*MASKS)("the [MASK]", targets=["Wolfgangs"])
    assert len(made) == 1
    assert "target 'Wolfgangs' is not in the vocabulary, 'Wol' is used" in caplog.text


def test_no_label_of_entailment(make: Make) -> None:
    with pytest.warns(UserWarning, match="no label of the model starts with 'entail'"):
        make("zero-shot-classification", "bert-classes")


def test_neither_task_nor_model() -> None:
    with pytest.raises(TaskError, match="neither a task nor a model was given"):
        pipeline()


def test_other_frameworks(make: Make) -> None:
    with pytest.raises(NotImplementedError, match="framework='tf': only PyTorch models"):
        make(*CLASSES, framework="tf")


@pytest.mark.parametrize("device", [-2, 1.5, ["cpu"]])
def test_wrong_devices(device: Any) -> None:
    with pytest.raises(InputError, match=r"expected an index, -1, a name as 'cuda:0'"):
        find_device(device)


def test_a_setting_in_two_places(make: Make) -> None:
    for name in ("dtype", "device_map"):
        with pytest.raises(ArgumentError, match=f"{name} is given twice"):
            pipeline("ner", model="x", model_kwargs={name: "auto"}, **{name: "auto"})


def test_task_names_are_listed() -> None:
    assert {"ner", "sentiment-analysis", "text-generation", "translation"} <= set(
        get_supported_tasks()
    )


def test_without_a_network_the_default_model_says_how_to_go_on(
    no_sockets: list[object], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("enfold.auto")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        FileMissing,
        match=r"default, distilbert/.*sst-2-english at revision 714eb0f.*Do: give model=",
    ):
        pipeline("sentiment-analysis")
