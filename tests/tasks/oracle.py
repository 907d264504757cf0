"""Runs under transformers 4.57: builds tiny checkpoints, says what its pipelines give.

    python oracle.py FOLDER CASES.json      prints a JSON list, one entry per case, as last line

Every value is written as [type name, value], so that types are compared too.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXT = """the quick brown fox jumps over the lazy dog near the river bank
my name is Wolfgang Schmidt and I live in Berlin with Sarah Connor
translate English to French : how old are you ? summarize : a long story
this movie is wonderful and the actors were brilliant , but the end is sad
the University of Oxford is a collegiate research university in England
print ( x ) ; return x + 1 ; def f ( a , b ) : pass
where do you live ? who is the king of Norway ? what is the capital of France ?
This example is politics . This example is sport . urgent not phone tablet computer"""
LINES = TEXT.splitlines() * 4
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
CHATML = (
    "{% for m in messages %}<s>{{ m['role'] }} {{ m['content'] }}{% if not loop.last or not "
    "continue_final_message %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant{% endif %}"
)


def wordpiece() -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        LINES,
        trainers.WordPieceTrainer(vocab_size=160, special_tokens=special, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.decoder = decoders.WordPiece()
    return tf.BertTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, do_lower_case=False
    )


def bytelevel(cls: Any, special: list[str], template: bool, **kwargs: Any) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        LINES,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    if template:
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", 2), ("<s>", 0), add_prefix_space=False
        )
    return cls(tokenizer_object=tokenizer, **kwargs)


def unigram() -> Any:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        LINES,
        trainers.UnigramTrainer(
            vocab_size=200,
            special_tokens=["<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tf.T5TokenizerFast(tokenizer_object=tokenizer, extra_ids=0, model_max_length=64)


def labels(names: list[str]) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }


def build(folder: Path) -> None:
    torch.manual_seed(0)
    bert, size = wordpiece(), 160
    roberta = bytelevel(
        tf.RobertaTokenizerFast,
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        True,
        model_max_length=64,
    )
    gpt2 = bytelevel(tf.GPT2TokenizerFast, ["<|endoftext|>"], False, model_max_length=64)
    llama = bytelevel(
        tf.PreTrainedTokenizerFast,
        ["<unk>", "<s>", "</s>"],
        False,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=64,
    )
    llama.chat_template = CHATML
    t5 = unigram()
    bert_config = {"vocab_size": size, "max_position_embeddings": 64, "pad_token_id": 0, **SMALL}
    roberta_config = {
        "vocab_size": 400,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        **SMALL,
    }
    gpt2_config = tf.GPT2Config(
        vocab_size=400,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    seq2seq = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    params = {
        "summarization": {
            "max_length": 200,
            "min_length": 3,
            "num_beams": 2,
            "prefix": "summarize: ",
        },
        "translation_en_to_fr": {"num_beams": 3, "prefix": "translate English to French: "},
    }
    t5_config = tf.T5Config(
        vocab_size=len(t5),
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        task_specific_params=params,
        **seq2seq,
    )
    bart_config = tf.BartConfig(
        vocab_size=400,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    )
    llama_config = tf.LlamaConfig(
        vocab_size=400,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        **SMALL,
    )
    nli = labels(["contradiction", "neutral", "entailment"])
    for name, cls, config, tokenizer in [
        (
            "bert-classes",
            tf.BertForSequenceClassification,
            tf.BertConfig(**bert_config, **labels(["bad", "fine", "good"])),
            bert,
        ),
        (
            "bert-one",
            tf.BertForSequenceClassification,
            tf.BertConfig(**bert_config, num_labels=1),
            bert,
        ),
        (
            "bert-multi",
            tf.BertForSequenceClassification,
            tf.BertConfig(**bert_config, num_labels=3, problem_type="multi_label_classification"),
            bert,
        ),
        (
            "bert-regression",
            tf.BertForSequenceClassification,
            tf.BertConfig(**bert_config, num_labels=2, problem_type="regression"),
            bert,
        ),
        ("bert-nli", tf.BertForSequenceClassification, tf.BertConfig(**bert_config, **nli), bert),
        (
            "bert-ner",
            tf.BertForTokenClassification,
            tf.BertConfig(**bert_config, **labels(NER)),
            bert,
        ),
        ("bert-qa", tf.BertForQuestionAnswering, tf.BertConfig(**bert_config), bert),
        ("bert-mlm", tf.BertForMaskedLM, tf.BertConfig(**bert_config), bert),
        ("bert-base", tf.BertModel, tf.BertConfig(**bert_config), bert),
        (
            "roberta-ner",
            tf.RobertaForTokenClassification,
            tf.RobertaConfig(**roberta_config, **labels(NER)),
            roberta,
        ),
        ("roberta-qa", tf.RobertaForQuestionAnswering, tf.RobertaConfig(**roberta_config), roberta),
        ("roberta-mlm", tf.RobertaForMaskedLM, tf.RobertaConfig(**roberta_config), roberta),
        ("gpt2", tf.GPT2LMHeadModel, gpt2_config, gpt2),
        ("gpt2-classes", tf.GPT2ForSequenceClassification, gpt2_config, gpt2),
        ("llama", tf.LlamaForCausalLM, llama_config, llama),
        ("t5", tf.T5ForConditionalGeneration, t5_config, t5),
        ("bart", tf.BartForConditionalGeneration, bart_config, roberta),
    ]:
        model = cls(config)
        for parameter in model.parameters():
            parameter.data.normal_(0.0, 0.3)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def typed(value: Any) -> Any:
    """`value` as [type name, content], containers included."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return [kind, [[key, typed(item)] for key, item in value.items()]]
    if isinstance(value, (list, tuple)):
        return [kind, [typed(item) for item in value]]
    if isinstance(value, torch.Tensor):
        return [f"Tensor{list(value.shape)}", value.tolist()]
    return [kind, value.item() if hasattr(value, "item") else value]


def main(folder: str, cases: str) -> None:
    warnings.simplefilter("ignore")
    build(Path(folder))
    answers = []
    loaded: dict[Any, Any] = {}
    for case in json.loads(Path(cases).read_text()):
        key = json.dumps([case["task"], case["model"], case["init"]])
        if key not in loaded:
            loaded[key] = tf.pipeline(
                case["task"], model=f"{folder}/{case['model']}", device="cpu", **case["init"]
            )
        answers.append(typed(loaded[key](*case["args"], **case["kwargs"])))
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
