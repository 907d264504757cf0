"""Ids back to text."""

from __future__ import annotations

from typing import Any

from tokenizers.models import BPE

from enfold.errors import TokenizerError, unknown_arguments
from enfold.text.call import Caller
from enfold.text.engine import Engine
from enfold.text.vocabulary import to_list

CLEAN = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
         (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"))


class Decoder(Caller):
    """`tokenizer.decode(ids)`."""

    clean_up_tokenization_spaces: bool = False
    clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: bool = False

    def decode(self, token_ids: Any, skip_special_tokens: bool = False,
               clean_up_tokenization_spaces: bool | None = None, **more: Any) -> Any:
        """The text of ids (an int, a list, a tensor), or a list of texts for a batch of them."""
        source = bool(more.pop("use_source_tokenizer", False))
        if more:
            raise unknown_arguments("decode", more, ["token_ids", "skip_special_tokens",
                                    "clean_up_tokenization_spaces", "use_source_tokenizer"])
        ids = to_list(token_ids["input_ids"] if isinstance(token_ids, dict) else token_ids)
        engine = self._engine_for(not source)
        clean = self._cleans(clean_up_tokenization_spaces)
        hidden = self._hidden_ids() if skip_special_tokens else set()

        def text(row: list[int]) -> str:
            row = [index for index in row if index not in hidden] if hidden else row
            out = self._spaced(engine, row) if self.kind.spaced else engine.text(row)
            return self.clean_up_tokenization(out) if clean else out

        try:
            if isinstance(ids, list) and ids and isinstance(ids[0], (list, tuple)):
                return [text(list(row)) for row in ids]
            return text([ids] if isinstance(ids, int) else list(ids))
        except (TypeError, OverflowError) as error:
            raise TokenizerError(f"decode: got {token_ids!r:.80}, expected token ids: an int, a "
                                 "list of them, a tensor or a batch. Do: decode(ids), where "
                                 "tokenizer(text) gave input_ids=ids") from error

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False,
                     clean_up_tokenization_spaces: bool | None = None, **more: Any) -> list[str]:
        """A list of texts."""
        out = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces, **more)
        if isinstance(out, str):
            return [] if len(sequences) == 0 else [out]
        return list(out)

    def _spaced(self, engine: Engine, row: list[int]) -> str:
        """Runs of ordinary tokens decoded one by one, each special token followed by a space."""
        special, out, run = set(self.all_special_ids), "", list[int]()
        for index in row:
            if index not in special:
                run.append(index)
                continue
            out += f"{engine.text(run)}{engine.token(index)} "
            run = []
        return (out + engine.text(run)).strip()

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """Take out the spaces that WordPiece puts before punctuation."""
        for old, new in CLEAN:
            text = text.replace(old, new)
        return text

    def _cleans(self, asked: bool | None) -> bool:
        """Clean up only where it is no damage: a BPE's spaces are the text's own."""
        wanted = self.clean_up_tokenization_spaces if asked is None else asked
        forced = self.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output
        return wanted and (forced or not isinstance(self.backend_tokenizer.model, BPE))

    def _hidden_ids(self) -> set[int]:
        """Special to the engine, or by role alone."""
        added = self.backend_tokenizer.get_added_tokens_decoder().items()
        return {index for index, token in added if token.special} | set(self.all_special_ids)
