"""Wrong uses of classes, configs, options and tokenizers."""

from __future__ import annotations

import enfold
from enfold import AutoConfig, AutoTokenizer
from enfold import errors as e
from tests.acceptance.bench import Use, classifier_from, lm_from, load

TABLE: dict[str, Use] = {
    # ---- families, heads and options ------------------------------------------------------------
    "unknown model_type": (
        lambda b: load(b.config(model_type="distillbert")),
        e.ConfigError,
        "unknown model_type 'distillbert' (nearest: 'distilbert'). Expected one of: bart, "
        "bert, distilbert, gpt2, gpt_bigcode, llama, marian, mistral, mixtral, qwen2, qwen2_moe, "
        "qwen3_moe, roberta, t5. Do: "
        "check config.json, or `enfold env` for the version",
    ),
    "no model_type": (
        lambda b: load(b.config(model_type=None)),
        e.ConfigError,
        "./BROKEN: config.json has no model_type, so the family can't be told. Do: add it, or "
        "load with the family's own class, e.g. BertModel",
    ),
    "number and names of labels": (
        lambda b: classifier_from("classifier", num_labels=3, id2label={0: "a", 1: "b"}),
        e.ConfigError,
        "num_labels=3 but id2label names 2 labels. Do: give one of them, or make them agree",
    ),
    "names without numbers": (
        lambda b: enfold.BertConfig(id2label={"bad": 0}),
        e.ConfigError,
        "id2label has the keys ['bad'], expected class indices. Do: id2label={0: 'first', 1: "
        "'second'}",
    ),
    "heads that do not divide the width": (
        lambda b: enfold.BertModel(enfold.BertConfig(hidden_size=30, num_attention_heads=4)),
        e.ConfigError,
        "config: a width of 30 is not a multiple of 4 attention heads. Do: give 28 or 32, or "
        "another number of heads",
    ),
    "a size of nothing": (
        lambda b: load(b.config(dim=None)),
        e.ConfigError,
        "config.dim is None, expected a whole number of at least 1. Do: correct config.json",
    ),
    "wrong Auto class": (
        lambda b: lm_from("classifier"),
        e.ConfigError,
        "AutoModelForCausalLM: the family 'distilbert' has no such head. It has: "
        "DistilBertModel, DistilBertForMaskedLM, DistilBertForSequenceClassification, "
        "DistilBertForMultipleChoice, DistilBertForTokenClassification, "
        "DistilBertForQuestionAnswering. Families that do: bart, bert, gpt2, gpt_bigcode, "
        "llama, marian, mistral, mixtral, qwen2, qwen2_moe, qwen3_moe, roberta",
    ),
    "wrong family's class": (
        lambda b: enfold.BertModel.from_pretrained("gpt"),
        e.ConfigError,
        "gpt: config.json is of model_type 'gpt2', expected 'bert' for BertConfig. Do: use "
        "AutoConfig or the Auto classes",
    ),
    "a name for a config": (
        lambda b: enfold.BertModel("bert-base-uncased"),
        e.ConfigError,
        "BertModel() got a str, expected a config. Do: "
        "BertModel.from_pretrained('bert-base-uncased'), or BertModel(config)",
    ),
    "another family's config": (
        lambda b: enfold.BertModel(enfold.GPT2Config()),
        e.ConfigError,
        "BertModel got a config of 'gpt2', expected 'bert'. Do: use BertConfig",
    ),
    "misspelt option": (
        lambda b: load("classifier", num_label=3),
        e.ArgumentError,
        "DistilBertModel.from_pretrained: unknown argument 'num_label' (nearest: 'num_labels')",
    ),
    "bad dtype": (
        lambda b: load("classifier", dtype="float31"),
        e.InputError,
        "dtype is 'float31', expected 'auto', 'float32', 'bfloat16', 'float16' or a floating "
        "torch dtype",
    ),
    "two dtypes": (
        lambda b: load("classifier", dtype="float16", torch_dtype="auto"),
        e.ArgumentError,
        "from_pretrained: dtype=float16 and torch_dtype=auto differ. Do: give one of them",
    ),
    "bad device_map": (
        lambda b: load("classifier", device_map="gpu"),
        e.InputError,
        "device_map is 'gpu', expected 'auto', 'cpu', 'cuda', 'cuda:1' or a torch.device",
    ),
    "no GPU": (
        lambda b: load("classifier", device_map="cuda"),
        e.InputError,
        "device_map is 'cuda', but torch sees no GPU. Do: use 'cpu', or leave it out",
    ),
    "attention kernel": (
        lambda b: load("classifier", attn_implementation="flash_attention_2"),
        e.InputError,
        "attn_implementation is 'flash_attention_2', expected 'sdpa' or 'eager'. Do: use "
        "'sdpa', which runs flash attention where the device has it",
    ),
    "code of a repository": (
        lambda b: load("classifier", trust_remote_code=True),
        NotImplementedError,
        "trust_remote_code=True: enfold runs no code of a checkpoint. Do: leave it out; an "
        "unknown model_type raises by itself",
    ),
    "unknown attribute of a config": (
        lambda b: AutoConfig.from_pretrained("classifier").hidden_sizee,
        AttributeError,
        "DistilBertConfig has no attribute 'hidden_sizee' (nearest: 'hidden_size', 'hidden_dim')",
    ),
    "misspelt class": (
        lambda b: enfold.AutoModelForSequenceClasification,
        AttributeError,
        "module 'enfold' has no attribute 'AutoModelForSequenceClasification' (nearest: "
        "'AutoModelForSequenceClassification', 'AutoPeftModelForSequenceClassification', "
        "'PeftModelForSequenceClassification')",
    ),
    # ---- tokenizer ------------------------------------------------------------------------------
    "no pad token": (
        lambda b: b.letters(["a", "a longer text"], padding=True),
        e.TokenizerError,
        "asked to pad, but the tokenizer has no padding token. Do: tokenizer.pad_token = "
        "tokenizer.eos_token, or tokenizer.add_special_tokens({'pad_token': '[PAD]'}) and "
        "model.resize_token_embeddings(len(tokenizer))",
    ),
    "rows of different lengths": (
        lambda b: b.letters(["a", "a longer text"], return_tensors="pt"),
        e.TokenizerError,
        "can't make a tensor of 'input_ids': rows have different lengths, or hold something "
        "that is not a number. Do: padding=True, truncation=True",
    ),
    "unknown argument of a tokenizer": (
        lambda b: b.words("a", truncate=True),
        e.ArgumentError,
        "tokenizer(): unknown argument 'truncate' (nearest: 'truncation')",
    ),
    "unknown role": (
        lambda b: AutoTokenizer.from_pretrained("classifier", pad_tokn="x"),
        e.ArgumentError,
        "BertTokenizer: unknown argument 'pad_tokn' (nearest: 'pad_token', 'sep_token', "
        "'mask_token')",
    ),
    "number for a text": (
        lambda b: b.words(5),
        e.TokenizerError,
        "text is a int, expected a str, a list of str (batch), a list of (str, str) (batch of "
        "pairs), or with is_split_into_words=True a list of words or a list of such lists",
    ),
    "nothing for a text": (
        lambda b: b.words(None),
        e.TokenizerError,
        "tokenizer(): got neither text nor text_target, expected one",
    ),
    "number in a batch": (
        lambda b: b.words(["a", 5]),
        e.TokenizerError,
        "text number 1 is 5 (int), expected a str. Are these words of one text? Do: "
        "is_split_into_words=True",
    ),
    "unknown strategy": (
        lambda b: b.words("a", padding="longst"),
        e.TokenizerError,
        "padding='longst' is not known: expected True, False, 'longest', 'max_length', "
        "'do_not_pad'",
    ),
    "unknown tensors": (
        lambda b: b.words("a", return_tensors="tf"),
        e.TokenizerError,
        "return_tensors='tf' is not known: expected 'pt', 'np' or None",
    ),
    "no chat template": (
        lambda b: b.letters.apply_chat_template([{"role": "user", "content": "a"}]),
        e.TokenizerError,
        "this tokenizer has no chat template: its model may not be a chat model. Do: use an "
        "instruct model, or set tokenizer.chat_template",
    ),
    "text for ids": (
        lambda b: b.words.decode("abc"),
        e.TokenizerError,
        "decode: got 'abc', expected token ids: an int, a list of them, a tensor or a batch. "
        "Do: decode(ids), where tokenizer(text) gave input_ids=ids",
    ),
    "vocabulary of an unknown kind": (
        lambda b: enfold.BertTokenizer(vocab_file="words.xyz"),
        e.TokenizerError,
        "vocab_file='words.xyz': not a vocabulary by its name, expected *.json, *.txt, "
        "*.tiktoken or *.model. Do: rename it",
    ),
}
