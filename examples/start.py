"""What the examples begin with when no --model is given: a tokenizer trained on the spot."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import WordPieceTrainer

from enfold import PreTrainedTokenizerFast

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
           "mask_token": "[MASK]"}


def train_tokenizer(texts: Iterable[str], size: int = 1000,
                    single: str = "[CLS] $A [SEP]") -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of at most `size` tokens; `single` is how one text is framed."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, WordPieceTrainer(
        vocab_size=size, special_tokens=list(SPECIAL.values()), show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="[CLS]",
                                   eos_token="[SEP]", model_max_length=512, **SPECIAL)
