"""`pipeline(...)`: from folders, objects and defaults; what it passes on; saving."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.errors import InputError, TaskError
from enfold.tasks import TextClassificationPipeline, api, pipeline, registry
from tests.tasks.cases import CHAT, GREEDY, TEXTS
from tests.tasks.conftest import Oracle

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("bert-classes", "text-classification"),
        ("bert-ner", "token-classification"),
        ("bert-qa", "question-answering"),
        ("bert-mlm", "fill-mask"),
        ("bert-base", "feature-extraction"),
        ("gpt2", "text-generation"),
        ("t5", "text2text-generation"),
    ],
)
def test_the_task_is_read_from_the_head(name: str, task: str, oracle: Oracle) -> None:
    pipe = pipeline(model=oracle[0] / name, device="cpu")
    assert pipe.task == task
    assert pipeline(model=pipe.model, tokenizer=pipe.tokenizer).task == task


@pytest.mark.parametrize(
    ("tag", "task"),
    [("translation", "translation"), ("sentence-similarity", "text2text-generation")],
)
def test_the_task_is_read_from_the_card(
    tag: str, task: str, oracle: Oracle, tmp_path: Path
) -> None:
    for file in (oracle[0] / "t5").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "README.md").write_text(f"---\nlicense: mit\npipeline_tag: {tag}\n---\n# A model\n")
    assert type(pipeline(model=str(tmp_path))).name == task


def test_no_task_can_be_told(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(TaskError, match="can't tell the task of .* Do: give task="):
        pipeline(model=str(tmp_path))


def test_what_is_given_is_passed_on(oracle: Oracle) -> None:
    folder = str(oracle[0] / "bert-classes")
    pipe = pipeline(
        "sentiment-analysis",
        model=folder,
        tokenizer=(folder, {"model_max_length": 9}),
        config=folder,
        torch_dtype=torch.bfloat16,
        device=-1,
        top_k=2,
        use_fast=True,
        model_kwargs={"attn_implementation": "eager"},
    )
    assert pipe.dtype == pipe.torch_dtype == torch.bfloat16
    assert pipe.device == torch.device("cpu")
    assert pipe.tokenizer.model_max_length == 9
    assert pipe.model.config._attn_implementation == "eager"
    assert len(pipe(TEXTS[0])[0]) == 2
    assert pipe.predict(TEXTS) == pipe(TEXTS)


def test_a_subclass_takes_the_place_of_the_task_s_class(oracle: Oracle) -> None:
    class Loud(TextClassificationPipeline):
        def post(self, item: Any, rows: Any, options: Any) -> Any:
            return {**super().post(item, rows, options), "text": item.upper()}

    pipe = pipeline("text-classification", model=oracle[0] / "bert-classes", pipeline_class=Loud)
    assert [result["text"] for result in pipe(["a", "b"])] == ["A", "B"]


def test_a_model_in_training_mode_is_put_to_eval(oracle: Oracle) -> None:
    made = pipeline("text-classification", model=oracle[0] / "bert-classes")
    made.model.train()
    again = pipeline("text-classification", model=made.model, tokenizer=made.tokenizer)
    assert not made.model.training
    assert again(TEXTS) == again(TEXTS)


def test_saved_and_loaded_again(make: Make, tmp_path: Path) -> None:
    pipe = make("text-classification", "bert-classes")
    pipe.save_pretrained(tmp_path)
    again = pipeline("text-classification", model=tmp_path, device="cpu")
    assert again(TEXTS) == pipe(TEXTS)


@pytest.mark.parametrize(
    ("task", "name", "revision"),
    [
        (
            "sentiment-analysis",
            "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
            "714eb0f",
        ),
        ("ner", "dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"),
        ("translation_en_to_fr", "google-t5/t5-base", "a9723ea"),
        ("text-generation", "openai-community/gpt2", "607a30d"),
    ],
)
def test_default_models_are_pinned(
    task: str,
    name: str,
    revision: str,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Any] = []
    made = make("text-classification", "bert-classes")

    def loaded(what: Any, source: Any, *rest: Any) -> Any:
        seen.append((source, rest[-1]["revision"]))
        raise InterruptedError

    monkeypatch.setattr(api, "load_model", loaded)
    with pytest.raises(InterruptedError):
        pipeline(task, tokenizer=made.tokenizer)
    assert seen == [(name, revision)]
    assert f"{name} at revision {revision} is used" in caplog.text


def test_every_task_has_a_class_and_an_auto_class() -> None:
    for task in registry.TASKS:
        assert task.load().name == task.name
        assert registry.load_auto(task.auto)


def test_task_names_load_no_torch(python: Callable[..., Any]) -> None:
    done = python(
        "-c", "import sys, enfold.tasks.registry as r; r.find('ner'); print('torch' in sys.modules)"
    )
    assert done.stdout.strip() == "False", done.stderr


# ---- settings of generate ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ({}, {}, {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}),
        ({}, {"do_sample": False}, {"max_new_tokens": 256, "temperature": None}),
        ({}, {"max_length": 9}, {"max_new_tokens": None}),
        ({"max_length": 50}, {}, {"max_new_tokens": None, "max_length": 50}),
        ({"max_new_tokens": 7, "temperature": 0.5}, {}, {"max_new_tokens": 7, "temperature": 0.5}),
        ({"do_sample": True}, {"max_new_tokens": 3}, {"temperature": 0.7, "max_new_tokens": None}),
    ],
)
def test_who_decides_a_setting(
    model: dict[str, Any],
    given: dict[str, Any],
    expected: dict[str, Any],
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = make("text-generation", "gpt2")
    config = copy.deepcopy(pipe.model.generation_config)
    for name, value in model.items():
        setattr(config, name, value)
    monkeypatch.setattr(type(pipe.model), "generation_config", config)
    settings = pipe.settings(given)
    resolved = settings.pop("generation_config")
    assert settings == given
    assert {name: getattr(resolved, name) for name in expected} == expected


def test_a_generation_config_of_the_call_replaces_the_defaults(make: Make) -> None:
    pipe = make("text-generation", "gpt2")
    config = copy.deepcopy(pipe.model.generation_config)
    config.max_new_tokens = 2
    assert pipe.settings({"generation_config": config}) == {"generation_config": config}
    ids = pipe("a", generation_config=config, return_tensors=True)[0]["generated_token_ids"]
    assert len(ids) == 3


def test_a_wrong_setting_of_generate_raises(make: Make) -> None:
    with pytest.raises(TypeError, match="max_new_token"):
        make("text-generation", "gpt2")("a", max_new_token=2)


def test_sampling_by_default_and_by_seed(make: Make) -> None:
    pipe = make("text-generation", "gpt2")
    torch.manual_seed(3)
    first = pipe("the quick", max_new_tokens=8)
    torch.manual_seed(3)
    assert pipe("the quick", max_new_tokens=8) == first


def test_stop_sequences(make: Make) -> None:
    pipe = make("text-generation", "gpt2")
    text = pipe("the quick", return_full_text=False, **GREEDY)[0]["generated_text"]
    for stop in (text[:2], [text[1:3]]):
        made = pipe("the quick", stop_sequence=stop, return_full_text=False, **GREEDY)
        new = made[0]["generated_text"]
        assert text.startswith(new)
        assert (stop if isinstance(stop, str) else stop[0]) in new
        assert len(new) < len(text)


def test_scores_of_the_tokens(make: Make) -> None:
    record = make("text-generation", "gpt2")(
        "the", return_dict_in_generate=True, output_scores=True, **GREEDY
    )[0]
    assert list(record) == ["generated_text", "scores"]
    assert (len(record["scores"]), len(record["scores"][0])) == (6, 400)


def test_chat_templates_get_tools(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = make("text-generation", "llama")
    seen: dict[str, Any] = {}
    template = pipe.tokenizer.apply_chat_template

    def spy(messages: Any, **kwargs: Any) -> Any:
        seen.update(kwargs)
        return template(messages, **{k: v for k, v in kwargs.items() if k != "documents"})

    monkeypatch.setattr(pipe.tokenizer, "apply_chat_template", spy)
    pipe(CHAT, documents=[{"title": "a", "text": "b"}], **GREEDY)
    assert seen["documents"] == [{"title": "a", "text": "b"}]
    assert seen["add_generation_prompt"]


def test_generated_batches_hold_prompts_of_different_lengths(make: Make) -> None:
    pipe = make("text-generation", "gpt2")
    pipe.scheduler.counts.clear()
    pipe(["the", "the quick brown", "a"], **GREEDY)
    assert pipe.scheduler.counts["batches"] == 1
    pipe.scheduler.counts.clear()
    pipe(["the", "the quick brown", "a"], do_sample=False, max_length=12)  # counts the prompt
    assert pipe.scheduler.counts["batches"] > 1


class Multilingual:
    """A tokenizer of many languages: a bart's with two language tokens."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.src_lang, self.kind = inner, "en", None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def convert_tokens_to_ids(self, token: str) -> int:
        return {"fr": 77}.get(token, self.inner.unk_token_id)


def test_languages_of_a_multilingual_model(make: Make) -> None:
    bart = make("translation", "bart")
    tokenizer = Multilingual(bart.tokenizer)
    pipe = pipeline("translation_de_to_fr", model=bart.model, tokenizer=tokenizer, device="cpu")
    made = pipe("the fox", return_tensors=True, max_new_tokens=3)[0]["translation_token_ids"]
    assert tokenizer.src_lang == "de"
    assert made[1] == 77
    pipe("the fox", src_lang="es", tgt_lang="fr", max_new_tokens=3)
    assert tokenizer.src_lang == "es"
    with pytest.raises(InputError, match="the tokenizer has no language 'xx'"):
        pipe("the fox", src_lang="es", tgt_lang="xx")
    with pytest.raises(InputError, match="got src_lang='es', tgt_lang=None. Do: give both"):
        pipe("the fox", src_lang="es")
