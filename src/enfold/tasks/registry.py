"""Task names: aliases, pipeline classes, Auto classes, default models.  Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from enfold.errors import TaskError, nearest


class Default(NamedTuple):
    """A model on the Hub and the commit that is used when nobody names one."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class Task:
    """A pipeline: where its class is, the Auto class that loads its model, the head that marks it.

    `heads` are endings of the class names that transformers gives to models that fit.
    """

    name: str
    cls: str
    auto: str
    default: Default | None
    heads: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def load(self) -> type[Any]:
        """The pipeline class."""
        import enfold.tasks
        return getattr(enfold.tasks, self.cls)  # type: ignore[no-any-return]


SEQUENCE, SEQ2SEQ = "AutoModelForSequenceClassification", "AutoModelForSeq2SeqLM"
CLASSIFIER_HEADS = ("ForSequenceClassification",)
SEQ2SEQ_HEADS = ("ForConditionalGeneration", "MTModel", "EncoderDecoderModel")
T5_BASE = Default("google-t5/t5-base", "a9723ea")

TASKS: tuple[Task, ...] = (
    Task("text-classification", "TextClassificationPipeline", SEQUENCE,
         Default("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"),
         CLASSIFIER_HEADS, ("sentiment-analysis",)),
    Task("token-classification", "TokenClassificationPipeline", "AutoModelForTokenClassification",
         Default("dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"),
         ("ForTokenClassification",), ("ner",)),
    Task("question-answering", "QuestionAnsweringPipeline", "AutoModelForQuestionAnswering",
         Default("distilbert/distilbert-base-cased-distilled-squad", "564e9b5"),
         ("ForQuestionAnswering", "ForQuestionAnsweringSimple")),
    Task("fill-mask", "FillMaskPipeline", "AutoModelForMaskedLM",
         Default("distilbert/distilroberta-base", "fb53ab8"),
         ("ForMaskedLM",)),
    Task("text-generation", "TextGenerationPipeline", "AutoModelForCausalLM",
         Default("openai-community/gpt2", "607a30d"), ("ForCausalLM", "LMHeadModel")),
    Task("text2text-generation", "Text2TextGenerationPipeline", SEQ2SEQ, T5_BASE, SEQ2SEQ_HEADS),
    Task("summarization", "SummarizationPipeline", SEQ2SEQ,
         Default("sshleifer/distilbart-cnn-12-6", "a4f8f3e"), SEQ2SEQ_HEADS),
    Task("translation", "TranslationPipeline", SEQ2SEQ, None, SEQ2SEQ_HEADS),
    Task("zero-shot-classification", "ZeroShotClassificationPipeline", SEQUENCE,
         Default("facebook/bart-large-mnli", "d7645e1"), CLASSIFIER_HEADS),
    Task("feature-extraction", "FeatureExtractionPipeline", "AutoModel",
         Default("distilbert/distilbert-base-cased", "6ea8117")),
)  # fmt: skip
TRANSLATION_DEFAULTS: Mapping[tuple[str, str], Default] = {
    ("en", "fr"): T5_BASE, ("en", "de"): T5_BASE, ("en", "ro"): T5_BASE}
_BY_NAME = {name: task for task in TASKS for name in (task.name, *task.aliases)}


def get_supported_tasks() -> list[str]:
    """All task names and aliases, sorted."""
    return sorted(_BY_NAME)


def find(name: str) -> tuple[Task, tuple[str, str] | None]:
    """The task called `name`, and the two languages of a `translation_XX_to_YY`.

    Raises `TaskError` with the nearest names.
    """
    if name in _BY_NAME:
        return _BY_NAME[name], None
    parts = name.split("_")
    if len(parts) == 4 and (parts[0], parts[2]) == ("translation", "to"):
        return _BY_NAME["translation"], (parts[1], parts[3])
    if name.startswith("translation"):
        raise TaskError(f"task {name!r} is not of the form 'translation_XX_to_YY'. "
                        "Do: name the two languages, as in 'translation_en_to_fr'")
    known = [*get_supported_tasks(), "translation_XX_to_YY"]
    do = f". Do: pipeline(model={name!r})" if "/" in name else ""
    raise TaskError(f"unknown task {name!r}{nearest(name, known)}. Available: {', '.join(known)}"
                    f"{do}")


def default_model(task: Task, languages: tuple[str, str] | None) -> Default:
    """The model used when none is named.  Raises `TaskError` where there is none."""
    found = TRANSLATION_DEFAULTS.get(languages) if languages else task.default
    if found is None:
        pairs = ", ".join(f"translation_{a}_to_{b}" for a, b in TRANSLATION_DEFAULTS)
        what = f"translation_{languages[0]}_to_{languages[1]}" if languages else task.name
        raise TaskError(f"task {what!r} has no default model (there is one for {pairs}). "
                        "Do: give model=, a folder or the name of a model on the Hub")
    return found


def task_of_head(class_name: str) -> str | None:
    """The task that a model class of this name is made for, if its head says so."""
    for task in TASKS:
        if task.heads and class_name.endswith(task.heads):
            return task.name
    return "feature-extraction" if class_name.endswith("Model") else None


def fits(task: Task, class_name: str) -> bool:
    """Whether a model class of this name has a head for `task`."""
    return not task.heads or class_name.endswith(task.heads)


def load_auto(name: str) -> Any:
    """An Auto class of enfold by name."""
    home = "enfold.text" if name == "AutoTokenizer" else "enfold.auto"
    return getattr(import_module(home), name)
