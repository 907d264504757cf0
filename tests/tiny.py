"""Tiny random checkpoints for tests that need a whole folder: config, weights, tokenizer."""

from __future__ import annotations

from pathlib import Path

CHAT = ("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}")
PANGRAMS = ("The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. "
            "Sphinx of black quartz, judge my vow. How vexingly quick daft zebras jump!")


def save_classifier(folder: Path, vocabulary: Path) -> None:
    """A random DistilBERT with labels NEGATIVE and POSITIVE and the tokenizer of `vocabulary`."""
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    labels = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=16, hidden_dim=32, n_layers=1,
                              n_heads=2, id2label=labels)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_chat_model(folder: Path, template: str | None = CHAT) -> None:
    """A random Llama with a byte-level vocabulary and a chat template of `<role>text`."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    engine = ByteLevelBPETokenizer()
    engine.train_from_iterator([PANGRAMS], vocab_size=280, special_tokens=["<eos>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=engine._tokenizer, eos_token="<eos>",
                                        pad_token="<eos>", chat_template=template)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32,
                         num_hidden_layers=1, num_attention_heads=2, eos_token_id=0, pad_token_id=0,
                         bos_token_id=0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
