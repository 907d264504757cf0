"""Language codes around a text: `tokenizer.src_lang = "eng_Latn"` (MBart, NLLB).

    before   <code> text </s>      MBart-50, NLLB
    after    text </s> <code>      MBart
"""

from __future__ import annotations

from typing import Any

from tokenizers.processors import TemplateProcessing

from enfold.errors import TokenizerError, nearest
from enfold.text.engine import Engine, share
from enfold.text.save import Saver


class Languages(Saver):
    """Source language for `text`, target language for `text_target`."""

    _src_lang: str | None = None
    _tgt_lang: str | None = None

    @property
    def src_lang(self) -> str | None:
        """The language of `text`; assigning it changes the code that is added."""
        return self._src_lang

    @src_lang.setter
    def src_lang(self, code: str) -> None:
        self.backend_tokenizer.post_processor = self._around(code)
        self._src_lang = code

    @property
    def tgt_lang(self) -> str | None:
        """The language of `text_target`."""
        return self._tgt_lang

    @tgt_lang.setter
    def tgt_lang(self, code: str) -> None:
        around = self._around(code)
        self._target = Engine(share(self.backend_tokenizer, post_processor=around))
        self._tgt_lang = code

    def _around(self, code: str) -> TemplateProcessing:
        if not self.kind.language:
            raise TokenizerError(f"{type(self).__name__} has no languages: src_lang and tgt_lang "
                                 "belong to multilingual translation models")
        codes = list(self.extra_special_tokens or self.get_added_vocab())
        index = self.backend_tokenizer.token_to_id(code)
        if index is None:
            raise TokenizerError(f"the language {code!r} is not in the vocabulary"
                                 f"{nearest(code, codes)}. Its codes: {', '.join(codes[:20])} ...")
        end, end_id = self.eos_token or "", self.eos_token_id or 0
        parts = {"before": f"{code} $A {end}", "after": f"$A {end} {code}"}
        single = parts[self.kind.language]
        return TemplateProcessing(single=single, pair=single.replace("$A", "$A $B"),
                                  special_tokens=[(end, end_id), (code, index)])

    def __getstate__(self) -> dict[str, Any]:
        """Without the target engine: it is the same model with another frame."""
        state = dict(self.__dict__)
        if self._tgt_lang is not None:
            del state["_target"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._tgt_lang is not None:
            self.tgt_lang = self._tgt_lang
