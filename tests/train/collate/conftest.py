"""One tokenizer in both libraries, and rows of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import enfold

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##fold", "##ed", "the", "map", "of",
         "a", "city", "was", "##s", ":", "user", "bot", "re", "##ad", ".", "it", "##er"]
TEXTS = ["the unfolded map of a city", "it was read .", "a city", "the readers unfold maps of it .",
         "unfolded"]
ROLES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
         "mask_token": "[MASK]"}


class Tokenizers(NamedTuple):
    """The same tokenizer, theirs (transformers) and ours."""

    theirs: Any
    ours: Any

    def rows(self, **options: Any) -> list[dict[str, Any]]:
        """Texts of different lengths, tokenized without padding."""
        return [dict(self.theirs(text, **options)) for text in TEXTS]


@pytest.fixture(scope="session", params=["right", "left"])
def tokenizers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
               ) -> Tokenizers:
    folder = tmp_path_factory.mktemp(f"tokenizer-{request.param}")
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    engine = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    engine.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=engine,
                                                  padding_side=request.param, **ROLES)
    theirs.save_pretrained(folder)
    return Tokenizers(theirs, enfold.AutoTokenizer.from_pretrained(folder))
