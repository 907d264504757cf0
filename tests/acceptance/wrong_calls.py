"""Wrong inputs of models, of `generate` and of pipelines."""

from __future__ import annotations

import torch

import enfold
from enfold import errors as e
from enfold import pipeline
from tests.acceptance.bench import IDS, Use, load

TABLE: dict[str, Use] = {
    # ---- inputs of a model ----------------------------------------------------------------------
    "unknown argument of a model": (
        lambda b: b.classifier(IDS, attention_masks=IDS),
        e.ArgumentError,
        "DistilBertForSequenceClassification.forward: unknown argument 'attention_masks' "
        "(nearest: 'attention_mask', 'encoder_attention_mask', 'output_attentions')",
    ),
    "encoding as it is": (
        lambda b: b.classifier(b.words("a", return_tensors="pt")),
        e.InputError,
        "input_ids is a BatchEncoding, expected a tensor [batch, length]. Do: model(**inputs)",
    ),
    "list of ids": (
        lambda b: b.classifier([[5, 6]]),
        e.InputError,
        "input_ids is a list, expected a tensor [batch, length]. Do: torch.tensor(...), or "
        "tokenizer(text, return_tensors='pt')",
    ),
    "one row of ids": (
        lambda b: b.classifier(IDS[0]),
        e.InputError,
        "input_ids have shape (3,), expected [batch, length]. Do: input_ids[None] for one text",
    ),
    "ids that are not whole": (
        lambda b: b.gpt(IDS.float()),
        e.InputError,
        "input_ids are of torch.float32, expected torch.long. Do: pass token ids; embeddings "
        "go into inputs_embeds",
    ),
    "no tokens": (
        lambda b: b.gpt(IDS[:, :0]),
        e.InputError,
        "the model got no tokens: the input has shape (1, 0). Do: leave empty texts out",
    ),
    "no input": (
        lambda b: b.classifier(),
        e.InputError,
        "give input_ids or inputs_embeds, one of them; got neither",
    ),
    "ids and embeddings": (
        lambda b: b.classifier(IDS, inputs_embeds=torch.ones(1, 3, 16)),
        e.InputError,
        "give input_ids or inputs_embeds, one of them; got both",
    ),
    "embeddings of another width": (
        lambda b: b.gpt(inputs_embeds=torch.ones(1, 3, 7)),
        e.InputError,
        "inputs_embeds have shape (1, 3, 7), expected [batch, length, 16]. Do: "
        "model.get_input_embeddings()(input_ids)",
    ),
    "id out of the vocabulary": (
        lambda b: b.classifier(torch.tensor([[30522]])),
        e.InputError,
        "input_ids hold 30522, expected 0 to 30521 (the model's vocabulary). Do: use the "
        "tokenizer of this model, or model.resize_token_embeddings(len(tokenizer))",
    ),
    "another model's tokenizer": (
        lambda b: b.gpt(**b.words("hello", return_tensors="pt", return_token_type_ids=False)),
        e.InputError,
        "input_ids hold 7592, expected 0 to 279 (the model's vocabulary). Do: use the "
        "tokenizer of this model, or model.resize_token_embeddings(len(tokenizer))",
    ),
    "text longer than the model": (
        lambda b: b.classifier(IDS.repeat(1, 11)),
        e.InputError,
        "the text has 33 tokens, expected at most 32 (the model's positions). Do: "
        "tokenizer(..., truncation=True, max_length=32)",
    ),
    "mask of another shape": (
        lambda b: b.gpt(IDS, attention_mask=torch.ones(1, 4)),
        e.InputError,
        "attention_mask has shape (1, 4), expected (1, 3). Do: pass on the tokenizer's",
    ),
    "mask of another batch": (
        lambda b: b.classifier(IDS, attention_mask=torch.ones(2, 3)),
        e.InputError,
        "attention_mask has shape (2, 3), expected (1, 3). Do: pass on the tokenizer's",
    ),
    "positions of another shape": (
        lambda b: b.gpt(IDS, position_ids=IDS[:, :2]),
        e.InputError,
        "position_ids have shape (1, 2), expected (1, 3), one per token. Do: leave them out",
    ),
    "labels of another batch": (
        lambda b: b.classifier(IDS, labels=torch.tensor([0, 1])),
        e.InputError,
        "labels have shape (2,), expected [1] class indices. Do: set "
        "config.problem_type='multi_label_classification' for rows of 0 and 1",
    ),
    "labels out of range": (
        lambda b: b.classifier(IDS, labels=torch.tensor([2])),
        e.InputError,
        "labels hold 2, expected 0 to 1, or -100 for what does not count. Do: correct them, or "
        "load the model with num_labels=",
    ),
    "labels in a list": (
        lambda b: b.classifier(IDS, labels=[1]),
        e.InputError,
        "labels is a list, expected a tensor [batch] or [batch, length]. Do: torch.tensor(...)",
    ),
    "labels of another length": (
        lambda b: b.gpt(IDS, labels=IDS[:, :2]),
        e.InputError,
        "labels have shape (1, 2), expected (1, 3) (one per token). Do: pad labels with -100 "
        "to the length of input_ids",
    ),
    "labels for a base model": (
        lambda b: load("classifier")(IDS, labels=IDS),
        e.ArgumentError,
        "DistilBertModel.forward: unknown argument 'labels'. Expected one of: attention_mask, "
        "cache_position, encoder_attention_mask, encoder_hidden_states, input_ids, "
        "inputs_embeds, logits_to_keep, num_items_in_batch, output_attentions, "
        "output_hidden_states, past_key_values, position_ids, return_dict, token_type_ids, "
        "use_cache",
    ),
    "no decoder input": (
        lambda b: b.t5(IDS),
        e.InputError,
        "T5ForConditionalGeneration got no decoder input. Do: give decoder_input_ids (to begin "
        "a text: one column of config.decoder_start_token_id), or labels, or use generate()",
    ),
    "labels of other rows than the input": (
        lambda b: b.t5(IDS, labels=torch.ones(2, 3, dtype=torch.long)),
        e.InputError,
        "the encoder's output has shape (1, 3, 16), the decoder's input has 2 rows. Do: give "
        "as many rows of input_ids as of decoder_input_ids or labels",
    ),
    "last token without a pad token": (
        lambda b: enfold.GPT2ForSequenceClassification(b.gpt.config)(IDS.repeat(2, 1)),
        e.InputError,
        "texts are classified by their last token, but config.pad_token_id is not set, so the "
        "last token of 2 texts of different lengths can't be told. Do: "
        "model.config.pad_token_id = tokenizer.pad_token_id",
    ),
    "cache of another kind": (
        lambda b: b.gpt(IDS, past_key_values=((1, 2),)),
        TypeError,
        "past_key_values is of type tuple, expected a Cache or a tuple of (key, value). Do: "
        "pass on what the model returned, or enfold.DynamicCache()",
    ),
    # ---- generate -------------------------------------------------------------------------------
    "generate without a head": (
        lambda b: b.classifier.generate(IDS),
        e.InputError,
        "DistilBertForSequenceClassification has no language-modelling head, so it can't "
        "generate. Do: load the checkpoint with AutoModelForCausalLM or AutoModelForSeq2SeqLM",
    ),
    "generate from text": (
        lambda b: b.gpt.generate("hello"),
        e.GenerationError,
        "generate: input_ids is a str, expected a tensor [batch, length]. Do: tokenizer(texts, "
        "return_tensors='pt')",
    ),
    "generate from an encoding": (
        lambda b: b.gpt.generate(b.letters("a", return_tensors="pt")),
        e.GenerationError,
        "generate: input_ids is a BatchEncoding, expected a tensor [batch, length]. Do: "
        "generate(**inputs)",
    ),
    "misspelt setting": (
        lambda b: b.gpt.generate(IDS, max_new_token=3),
        e.ArgumentError,
        "generate: unknown argument 'max_new_token' (nearest: 'max_new_tokens', "
        "'min_new_tokens', 'max_cache_len')",
    ),
    "setting without effect": (
        lambda b: b.gpt.generate(IDS, max_new_tokens=3, temperature=0.5),
        e.GenerationError,
        "generate: temperature=0.5 has no effect with do_sample=False. Do: set do_sample=True "
        "to sample, or leave temperature out",
    ),
    "id out of the vocabulary, generate": (
        lambda b: b.gpt.generate(IDS + 280, max_new_tokens=3),
        e.GenerationError,
        "generate: input_ids holds 287, expected ids from 0 to 279. Do: use the model's own "
        "tokenizer, or resize the embeddings to it",
    ),
    "prompt longer than the model": (
        lambda b: b.gpt.generate(IDS.repeat(1, 11), max_new_tokens=3),
        e.InputError,
        "the text has 33 tokens, expected at most 32 (the model's positions). Do: "
        "tokenizer(..., truncation=True, max_length=32)",
    ),
    "mask of another length, generate": (
        lambda b: b.gpt.generate(IDS, attention_mask=torch.ones(1, 4), max_new_tokens=3),
        e.GenerationError,
        "generate: attention_mask has shape (1, 4), expected (1, 3), that of the prompt. Do: "
        "pass on the tokenizer's attention_mask",
    ),
    # ---- pipelines ------------------------------------------------------------------------------
    "unknown task": (
        lambda b: pipeline("sentiment-analyis"),
        e.TaskError,
        "unknown task 'sentiment-analyis' (nearest: 'sentiment-analysis'). Available: "
        "feature-extraction, fill-mask, ner, question-answering, sentiment-analysis, "
        "summarization, text-classification, text-generation, text2text-generation, "
        "token-classification, translation, zero-shot-classification, translation_XX_to_YY",
    ),
    "no task and no model": (
        lambda b: pipeline(),
        e.TaskError,
        "pipeline: neither a task nor a model was given. Do: name one of feature-extraction, "
        "fill-mask, ner, question-answering, sentiment-analysis, summarization, "
        "text-classification, text-generation, text2text-generation, token-classification, "
        "translation, zero-shot-classification",
    ),
    "a model for the task": (
        lambda b: pipeline("./classifier"),
        e.TaskError,
        "unknown task './classifier'. Available: feature-extraction, fill-mask, ner, "
        "question-answering, sentiment-analysis, summarization, text-classification, "
        "text-generation, text2text-generation, token-classification, translation, "
        "zero-shot-classification, translation_XX_to_YY. Do: pipeline(model='./classifier')",
    ),
    "task of another head": (
        lambda b: pipeline("summarization", model=b.gpt, tokenizer=b.letters),
        e.TaskError,
        "summarization: GPT2LMHeadModel has no head for this task, it is made for "
        "'text-generation'. Do: load the checkpoint with AutoModelForSeq2SeqLM, or use "
        "task='text-generation'",
    ),
    "unknown argument of a pipeline": (
        lambda b: pipeline("text-classification", model="classifier", devce=0),
        e.ArgumentError,
        "text-classification: unknown argument 'devce' (nearest: 'device', 'device_map')",
    ),
    "unknown argument of a call": (
        lambda b: b.classify("a", topk=2),
        e.ArgumentError,
        "text-classification: unknown argument 'topk' (nearest: 'top_k')",
    ),
    "number for a text, pipeline": (
        lambda b: b.classify(5),
        e.InputError,
        "text-classification: got int 5, expected a string or a pair. Do: write a pair as "
        '{"text": "one", "text_pair": "other"}',
    ),
    "text longer than the model, pipeline": (
        lambda b: b.classify("a " * 40),
        e.InputError,
        "text-classification: a text has 42 tokens, the model has positions for 32. Do: pass "
        "truncation=True (with max_length=32 if the tokenizer has no limit), or cut the text "
        "into parts",
    ),
    "no mask": (
        lambda b: b.headed(enfold.DistilBertForMaskedLM, "fill-mask", b.words)("no mask here"),
        e.InputError,
        "fill-mask: no mask token ([MASK]) in str 'no mask here'. Do: write one where a word "
        "is wanted",
    ),
    "no context": (
        lambda b: b.headed(enfold.DistilBertForQuestionAnswering, "question-answering", b.words)(
            question="Who?"
        ),
        e.InputError,
        "question-answering: 'context' is missing. Do: pass question=..., context=...",
    ),
    "chat without a template": (
        lambda b: pipeline("text-generation", model="gpt")([{"role": "user", "content": "a"}]),
        e.TokenizerError,
        "this tokenizer has no chat template: its model may not be a chat model. Do: use an "
        "instruct model, or set tokenizer.chat_template",
    ),
    "no tokenizer": (
        lambda b: pipeline("text-generation", model=b.gpt),
        e.TokenizerError,
        "text-generation: this task reads text and no tokenizer was given. Do: pass "
        "tokenizer=, an object, a folder or a name on the Hub",
    ),
    "empty text, no token": (
        lambda b: b.headed(enfold.GPT2ForSequenceClassification, "text-classification", b.letters)(
            ""
        ),
        e.InputError,
        "text-classification: a text has no tokens at all. Do: leave empty texts out",
    ),
    "no such device": (
        lambda b: pipeline("text-classification", model="classifier", device="cuda:7"),
        e.InputError,
        "device is 'cuda:7', but torch sees no GPU. Do: use 'cpu', or leave it out",
    ),
    "no candidate labels": (
        lambda b: pipeline("zero-shot-classification", model="classifier")(
            "a", candidate_labels=[]
        ),
        e.InputError,
        "zero-shot-classification: got candidate_labels=[], expected at least one. Do: pass "
        "candidate_labels=['news', 'sport']",
    ),
}
