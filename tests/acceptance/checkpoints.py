"""Random tiny checkpoints under the names that snippets use; made by transformers 4.57 or 5.

Real vocabularies where `data` has them, else small ones trained here on TEXT.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer

TEXT = """The quick brown fox jumps over the lazy dog near the river bank of London.
My name is Wolfgang and I live in Berlin with Sarah; Hugging Face is based in New York City.
translate English to French: How old are you? summarize: a very long story about a tower.
def print_hello_world(): return "hello world", x + 1, [i for i in range(10)]
We are very happy to show you the library. I hate this so much! The movie was wonderful.
<|user|> <|assistant|> You are a pirate chatbot who always responds in pirate speak!"""
LINES = TEXT.splitlines() * 4
CHAT = ("{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant\n{% endif %}")
SQUARE = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
          "mask_token": "[MASK]"}
NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
NLI = ["contradiction", "neutral", "entailment"]
WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 48}
DISTIL = {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
ENCDEC = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
          "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}


def wordpiece(data: Path, cls: Any) -> Any:
    real = data / "tokenizers/bert-base-uncased/vocab.txt"
    if real.is_file():
        return cls(vocab_file=str(real), model_max_length=512)
    engine = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    engine.normalizer = normalizers.BertNormalizer()
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    engine.train_from_iterator(LINES, WordPieceTrainer(vocab_size=300,
                                                       special_tokens=list(SQUARE.values())))
    ends = [(token, engine.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends)
    return cls(tokenizer_object=engine, model_max_length=512)


def bytelevel(cls: Any, special: list[str], framed: bool = False, **roles: Any) -> Any:
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.train_from_iterator(LINES, BpeTrainer(
        vocab_size=400, special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if framed:
        engine.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0),
                                                             add_prefix_space=False)
    return cls(tokenizer_object=engine, model_max_length=512, **roles)


def gpt2(data: Path) -> Any:
    real = data / "tokenizers/gpt2"
    if real.is_dir():
        return tf.GPT2TokenizerFast.from_pretrained(real)
    return bytelevel(tf.GPT2TokenizerFast, ["<|endoftext|>"])


def t5(data: Path) -> Any:
    real = data / "tokenizers/t5/spiece.model"
    if real.is_file():
        return tf.T5TokenizerFast.from_pretrained(real.parent)
    engine = Tokenizer(models.Unigram())
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    engine.train_from_iterator(LINES, UnigramTrainer(
        vocab_size=300, unk_token="<unk>", special_tokens=["<pad>", "</s>", "<unk>"]))
    engine.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tf.T5TokenizerFast(tokenizer_object=engine, model_max_length=512)


def marian(data: Path, folder: Path) -> Any:
    real = data / "tokenizers/opus-mt-en-mg"
    folder.mkdir(parents=True)
    if real.is_dir():
        for name in ("source.spm", "target.spm", "vocab.json", "tokenizer_config.json"):
            shutil.copy(real / name, folder / name)
        return tf.MarianTokenizer.from_pretrained(folder)
    import sentencepiece

    vocab = ["</s>", "<unk>"]
    for side, lines in (("source", LINES[:12]), ("target", LINES[12:])):
        with open(folder / f"{side}.spm", "wb") as file:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=file, vocab_size=120,
                hard_vocab_limit=False, minloglevel=2)
        pieces = sentencepiece.SentencePieceProcessor(str(folder / f"{side}.spm"))
        names = [pieces.id_to_piece(index) for index in range(3, len(pieces))]
        vocab += [name for name in names if name not in vocab]
    ids = {token: index for index, token in enumerate([*vocab, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    return tf.MarianTokenizer.from_pretrained(folder)


def labels(names: list[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def build(folder: Path, data: Path) -> None:
    """All checkpoints, into `folder`."""
    torch.manual_seed(0)

    def save(name: str, cls: Any, config: Any, tokenizer: Any) -> None:
        model = cls(config)
        for key, parameter in model.named_parameters():
            if "embed_positions" not in key or "bart" in name:  # Marian's are computed
                parameter.data.normal_(0.0, 0.2)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)

    encoders(save, data)
    decoders_(save, data)
    pairs(save, data, folder)


def encoders(save: Callable[..., None], data: Path) -> None:
    bert = wordpiece(data, tf.BertTokenizerFast)
    distil = wordpiece(data, tf.DistilBertTokenizerFast)
    sst = tf.DistilBertConfig(vocab_size=len(distil), **DISTIL, **labels(["NEGATIVE", "POSITIVE"]))
    save("distilbert/distilbert-base-uncased-finetuned-sst-2-english",
         tf.DistilBertForSequenceClassification, sst, distil)
    plain = tf.DistilBertConfig(vocab_size=len(distil), **DISTIL)
    save("distilbert/distilbert-base-uncased", tf.DistilBertForMaskedLM, plain, distil)
    save("distilbert/distilbert-base-uncased-distilled-squad", tf.DistilBertForQuestionAnswering,
         plain, distil)
    base = {"vocab_size": len(bert), **WIDTH}
    save("google-bert/bert-base-uncased", tf.BertForMaskedLM, tf.BertConfig(**base), bert)
    save("dslim/bert-base-NER", tf.BertForTokenClassification,
         tf.BertConfig(**base, **labels(NER)), bert)
    roberta = bytelevel(tf.RobertaTokenizerFast, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], True)
    save("FacebookAI/roberta-base", tf.RobertaForMaskedLM,
         tf.RobertaConfig(vocab_size=400, max_position_embeddings=514, type_vocab_size=1, **WIDTH),
         roberta)


def decoders_(save: Callable[..., None], data: Path) -> None:
    words = gpt2(data)
    end = {"bos_token_id": words.eos_token_id, "eos_token_id": words.eos_token_id}
    save("openai-community/gpt2", tf.GPT2LMHeadModel,
         tf.GPT2Config(vocab_size=len(words), **GPT, **end), words)
    code = bytelevel(tf.GPT2TokenizerFast, ["<|endoftext|>"])
    save("bigcode/starcoder", tf.GPTBigCodeForCausalLM,
         tf.GPTBigCodeConfig(vocab_size=400, bos_token_id=0, eos_token_id=0, **GPT), code)
    chat = bytelevel(tf.PreTrainedTokenizerFast, ["<unk>", "<s>", "</s>"], bos_token="<s>",
                     eos_token="</s>", pad_token="</s>", unk_token="<unk>",
                     model_input_names=["input_ids", "attention_mask"])
    chat.chat_template = CHAT
    llama = tf.LlamaConfig(vocab_size=400, num_key_value_heads=2, bos_token_id=1, eos_token_id=2,
                           pad_token_id=2, max_position_embeddings=512, **WIDTH)
    save("meta-llama/Llama-3.2-1B-Instruct", tf.LlamaForCausalLM, llama, chat)


def pairs(save: Callable[..., None], data: Path, folder: Path) -> None:
    words = t5(data)
    tasks = {"summarization": {"num_beams": 2, "min_length": 3, "prefix": "summarize: "},
             "translation_en_to_fr": {"num_beams": 3, "max_length": 40,
                                      "prefix": "translate English to French: "}}
    save("google-t5/t5-small", tf.T5ForConditionalGeneration,
         tf.T5Config(vocab_size=len(words), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
                     decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
                     task_specific_params=tasks), words)
    opus = folder / "Helsinki-NLP/opus-mt-en-fr"
    two = marian(data, opus)
    pad = two.pad_token_id
    save("Helsinki-NLP/opus-mt-en-fr", tf.MarianMTModel,
         tf.MarianConfig(vocab_size=len(two), pad_token_id=pad, decoder_start_token_id=pad,
                         eos_token_id=0, forced_eos_token_id=0, scale_embedding=True,
                         max_position_embeddings=512, **ENCDEC), two)
    bart = bytelevel(tf.BartTokenizerFast, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], True)
    config = {"vocab_size": 400, "max_position_embeddings": 512, **ENCDEC}
    save("facebook/bart-large-cnn", tf.BartForConditionalGeneration, tf.BartConfig(**config), bart)
    save("facebook/bart-large-mnli", tf.BartForSequenceClassification,
         tf.BartConfig(**config, **labels(NLI)), bart)
