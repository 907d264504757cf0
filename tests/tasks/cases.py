"""Calls of pipelines, compared with transformers 4.57 in types, key order and values."""

from __future__ import annotations

from typing import Any

TEXTS = [
    "this movie is wonderful",
    "the end is sad",
    "my name is Sarah Connor and I live in Berlin",
    "",
    "Wolfgang",
    "the quick brown fox jumps over the lazy dog near the river bank , near Oxford",
]
PEOPLE = "my name is Wolfgang Schmidt and I live in Berlin , near the University of Oxford"
LONG = " ".join([PEOPLE] * 6)
CONTEXT = "Wolfgang Schmidt lives in Berlin. Sarah Connor is the king of Norway, near the river."
QUESTION = "where do you live ?"
GREEDY = {"do_sample": False, "max_new_tokens": 6}
CHAT = [{"role": "user", "content": "who is the king ?"}]
PREFILL = [*CHAT, {"role": "assistant", "content": "the king"}]


def case(
    task: str, model: str, *args: Any, init: dict[str, Any] | None = None, **kwargs: Any
) -> dict[str, Any]:
    return {"task": task, "model": model, "args": list(args), "init": init or {}, "kwargs": kwargs}


CLASSIFICATION = [
    case("text-classification", "bert-classes", TEXTS[0]),
    case("sentiment-analysis", "bert-classes", TEXTS),
    case("text-classification", "bert-classes", [TEXTS[0]]),
    case("text-classification", "bert-classes", TEXTS[0], top_k=2),
    case("text-classification", "bert-classes", TEXTS[0], top_k=1),
    case("text-classification", "bert-classes", TEXTS, top_k=None),
    case("text-classification", "bert-classes", TEXTS[0], init={"top_k": 2}),
    case("text-classification", "bert-classes", TEXTS[:2], init={"top_k": None}),
    case("text-classification", "bert-classes", TEXTS[0], return_all_scores=True),
    case("text-classification", "bert-classes", TEXTS[:2], return_all_scores=False),
    case("text-classification", "bert-classes", TEXTS[0], function_to_apply="sigmoid"),
    case("text-classification", "bert-classes", TEXTS[0], function_to_apply="none", top_k=3),
    case("text-classification", "bert-classes", {"text": TEXTS[0], "text_pair": TEXTS[1]}),
    case(
        "text-classification", "bert-classes", [{"text": TEXTS[0], "text_pair": TEXTS[1]}, TEXTS[2]]
    ),
    case("text-classification", "bert-classes", [[TEXTS[:2]]]),
    case("text-classification", "bert-classes", LONG, truncation=True, max_length=20),
    case(
        "text-classification",
        "bert-classes",
        TEXTS,
        padding="max_length",
        max_length=30,
        truncation=True,
    ),
    case("text-classification", "bert-classes", TEXTS, batch_size=2),
    case("text-classification", "bert-one", TEXTS[:3]),
    case("text-classification", "bert-multi", TEXTS[:3], top_k=None),
    case("text-classification", "bert-regression", TEXTS[:3], top_k=None),
    case("text-classification", "gpt2-classes", TEXTS[:3]),
]
TOKENS = [
    *(
        case("token-classification", model, texts, aggregation_strategy=strategy)
        for model in ("bert-ner", "roberta-ner")
        for texts in (PEOPLE, TEXTS)
        for strategy in ("none", "simple", "first", "average", "max")
    ),
    case("ner", "bert-ner", PEOPLE),
    case("ner", "bert-ner", [PEOPLE]),
    case("ner", "bert-ner", PEOPLE, ignore_labels=[]),
    case("ner", "bert-ner", PEOPLE, ignore_labels=["PER", "B-LOC"], aggregation_strategy="simple"),
    case("ner", "bert-ner", PEOPLE, grouped_entities=True),
    case("ner", "bert-ner", PEOPLE, grouped_entities=True, ignore_subwords=True),
    case("ner", "bert-ner", PEOPLE, init={"aggregation_strategy": "max"}),
    case("ner", "bert-ner", LONG),
    case("ner", "bert-ner", LONG, stride=8, aggregation_strategy="simple"),
    case("ner", "bert-ner", [LONG, PEOPLE], stride=8, aggregation_strategy="first"),
    case("ner", "roberta-ner", LONG, stride=16, aggregation_strategy="average"),
    case("ner", "bert-ner", PEOPLE.split(), is_split_into_words=True),
    case(
        "ner",
        "bert-ner",
        [PEOPLE.split(), TEXTS[0].split()],
        is_split_into_words=True,
        aggregation_strategy="simple",
    ),
    case(
        "ner",
        "bert-ner",
        [PEOPLE.split()],
        is_split_into_words=True,
        delimiter="--",
        aggregation_strategy="first",
    ),
    case("ner", "bert-ner", "Qqq ΩΩ Berlin"),
]
ANSWERS = [
    *(
        case("question-answering", model, question=QUESTION, context=CONTEXT, **options)
        for model in ("bert-qa", "roberta-qa")
        for options in (
            {},
            {"top_k": 3},
            {"handle_impossible_answer": True},
            {"align_to_words": False},
            {"max_answer_len": 2},
            {"top_k": 2, "handle_impossible_answer": True},
            {"max_seq_len": 30, "doc_stride": 8},
            {"padding": "max_length"},
            {"max_seq_len": 24, "doc_stride": 4, "top_k": 4, "max_answer_len": 6},
        )
    ),
    case("question-answering", "bert-qa", {"question": QUESTION, "context": CONTEXT}),
    case("question-answering", "bert-qa", [{"question": QUESTION, "context": CONTEXT}] * 2),
    case("question-answering", "bert-qa", QUESTION, CONTEXT),
    case(
        "question-answering", "bert-qa", question=[QUESTION, "who is the king ?"], context=CONTEXT
    ),
    case("question-answering", "bert-qa", question=[QUESTION] * 2, context=[CONTEXT, LONG]),
    case("question-answering", "bert-qa", question=[QUESTION], context=[CONTEXT]),
    case("question-answering", "bert-qa", question=QUESTION, context=LONG),
    case("question-answering", "bert-qa", question=QUESTION, context=LONG, topk=2),
]
MASKS = [
    case("fill-mask", "bert-mlm", "the quick [MASK] fox"),
    case("fill-mask", "bert-mlm", ["the quick [MASK] fox", "[MASK] is sad , is it ?"]),
    case("fill-mask", "bert-mlm", ["the quick [MASK] fox"]),
    case("fill-mask", "bert-mlm", "the [MASK] brown [MASK]", top_k=2),
    case("fill-mask", "bert-mlm", ["the [MASK] brown [MASK]", "a [MASK]"], top_k=2),
    case("fill-mask", "bert-mlm", "the quick [MASK] fox", targets=["brown", "river"]),
    case("fill-mask", "bert-mlm", "the quick [MASK] fox", targets="Wolfgangs", top_k=3),
    case(
        "fill-mask",
        "bert-mlm",
        "the [MASK] brown [MASK]",
        targets=["brown", "river", "dog"],
        top_k=2,
    ),
    case("fill-mask", "bert-mlm", "a [MASK] " + LONG, tokenizer_kwargs={"truncation": True}),
    case("fill-mask", "bert-mlm", "a [MASK]", tokenizer_kwargs={"padding": "max_length"}, top_k=1),
    case("fill-mask", "roberta-mlm", "the quick<mask> fox", init={"top_k": 3}),
]
FEATURES = [
    case("feature-extraction", "bert-base", TEXTS[0]),
    case("feature-extraction", "bert-base", TEXTS),
    case("feature-extraction", "bert-base", TEXTS[0], return_tensors=True),
    case("feature-extraction", "bert-base", TEXTS[:2], return_tensors=True),
    case("feature-extraction", "bert-base", LONG, truncation=True),
    case(
        "feature-extraction",
        "bert-base",
        LONG,
        tokenize_kwargs={"truncation": True, "max_length": 9},
    ),
    case("feature-extraction", "bert-mlm", TEXTS[:2]),
]
ZERO_SHOT = [
    case("zero-shot-classification", "bert-nli", TEXTS[0], candidate_labels=["politics", "sport"]),
    case("zero-shot-classification", "bert-nli", TEXTS[0], ["politics", "sport", "phone"]),
    case(
        "zero-shot-classification", "bert-nli", TEXTS[0], candidate_labels="politics, sport,,phone "
    ),
    case("zero-shot-classification", "bert-nli", TEXTS[:3], candidate_labels=["politics", "sport"]),
    case(
        "zero-shot-classification",
        "bert-nli",
        [TEXTS[0]],
        candidate_labels=["politics", "sport"],
        multi_label=True,
    ),
    case("zero-shot-classification", "bert-nli", TEXTS[0], candidate_labels="politics"),
    case(
        "zero-shot-classification",
        "bert-nli",
        TEXTS[0],
        candidate_labels=["phone", "tablet"],
        hypothesis_template="about {} .",
    ),
    case("zero-shot-classification", "bert-nli", LONG, candidate_labels=["phone", "tablet"]),
    case(
        "zero-shot-classification",
        "bert-nli",
        TEXTS[0],
        init={"candidate_labels": ["phone", "sport"]},
        multi_class=True,
    ),
]
GENERATION = [
    case("text-generation", "gpt2", "the quick", **GREEDY),
    case("text-generation", "gpt2", ["the quick", "my name is Sarah and I", "a"], **GREEDY),
    case("text-generation", "gpt2", ["the quick"], **GREEDY),
    case("text-generation", "gpt2", "the quick", return_full_text=False, **GREEDY),
    case("text-generation", "gpt2", "the quick", return_tensors=True, **GREEDY),
    case("text-generation", "gpt2", ["the quick", "a"], return_tensors=True, **GREEDY),
    case("text-generation", "gpt2", "the quick", num_beams=3, num_return_sequences=2, **GREEDY),
    case(
        "text-generation",
        "gpt2",
        ["the quick", "my name is Sarah"],
        num_beams=3,
        num_return_sequences=3,
        **GREEDY,
    ),
    case("text-generation", "gpt2", "the quick", init=GREEDY),
    case("text-generation", "gpt2", "the quick", prefix="my name is ", **GREEDY),
    case("text-generation", "gpt2", "", **GREEDY),
    case("text-generation", "gpt2", LONG, handle_long_generation="hole", **GREEDY),
    case(
        "text-generation",
        "gpt2",
        LONG,
        truncation=True,
        do_sample=False,
        max_new_tokens=3,
        tokenizer_encode_kwargs={"max_length": 10},
    ),
    case("text-generation", "gpt2", "the quick", clean_up_tokenization_spaces=False, **GREEDY),
    case("text-generation", "llama", CHAT, **GREEDY),
    case("text-generation", "llama", [CHAT, PREFILL], **GREEDY),
    case("text-generation", "llama", PREFILL, **GREEDY),
    case("text-generation", "llama", PREFILL, continue_final_message=False, **GREEDY),
    case("text-generation", "llama", CHAT, return_full_text=False, **GREEDY),
    case("text-generation", "llama", "the quick", skip_special_tokens=False, **GREEDY),
]
SEQ2SEQ = [
    *(
        case(task, model, texts, max_new_tokens=8)
        for task in ("text2text-generation", "summarization", "translation", "translation_en_to_fr")
        for model in ("t5", "bart")
        for texts in (TEXTS[0], TEXTS[:3])
    ),
    case("text2text-generation", "t5", TEXTS[0], num_beams=1, max_new_tokens=8),
    case("text2text-generation", "t5", TEXTS[0], num_return_sequences=2, max_new_tokens=8),
    case("text2text-generation", "t5", TEXTS[:3], num_return_sequences=2, max_new_tokens=8),
    case("text2text-generation", "t5", TEXTS[0], return_tensors=True, max_new_tokens=8),
    case("text2text-generation", "t5", TEXTS[:3], return_tensors=True, max_new_tokens=8),
    case("text2text-generation", "bart", LONG, truncation=True, max_new_tokens=4),
    case("summarization", "bart", TEXTS[:3], min_new_tokens=4, max_new_tokens=9, batch_size=1),
    case("summarization", "t5", TEXTS[0], init={"max_new_tokens": 5}),
]
CASES = [*CLASSIFICATION, *TOKENS, *ANSWERS, *MASKS, *FEATURES, *ZERO_SHOT, *GENERATION, *SEQ2SEQ]
