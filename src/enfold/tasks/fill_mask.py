"""fill-mask: the likeliest tokens for each mask of a text."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enfold.errors import InputError, TokenizerError
from enfold.tasks import checks
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Row

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of fill-mask.

    top_k             tokens per mask, 5 by default
    targets           only these tokens compete, a string or several.  One that the vocabulary lacks
                      is replaced by the first token of its text, with a warning
    tokenizer_kwargs  for the tokenizer, as `{"truncation": True}`
    """

    top_k: int = 5
    targets: str | Sequence[str] | None = None
    tokenizer_kwargs: Mapping[str, Any] | None = None
    target_ids: tuple[int, ...] = ()


class FillMaskPipeline(Pipeline[Options]):
    """`[{"score", "token", "token_str", "sequence"}, ...]` for a text with one mask.

    Several masks give one such list per mask, each filled on its own.
    """

    name = "fill-mask"
    options = Options

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Fill the masks of a text, or of many."""
        results = self.apply(inputs, kwargs)
        return results[0] if isinstance(inputs, list) and len(inputs) == 1 else results

    def resolve(self, options: Options) -> Options:
        """Look the targets up."""
        if self.tokenizer.mask_token_id is None:
            raise TokenizerError(f"{self.task}: the tokenizer has no mask token. "
                                 "Do: use a model trained with masks, as BERT, and its tokenizer")
        if options.top_k < 1:
            raise InputError(f"{self.task}: top_k={options.top_k}, expected 1 or more")
        if options.targets is None:
            return options
        ids = self._target_ids(options.targets)
        return replace(options, target_ids=ids, top_k=min(options.top_k, len(ids)))

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize the window; every text needs a mask."""
        texts = [checks.want_text(item, self.task) for item in window]
        encoded = self.encode(texts, **(options.tokenizer_kwargs or {}))
        rows = self.rows_of(encoded, range(len(texts)))
        mask = self.tokenizer.mask_token_id
        for row, text in zip(rows, texts, strict=True):
            row.extra = [i for i, token in enumerate(row.features["input_ids"]) if token == mask]
            if not row.extra:
                raise InputError(f"{self.task}: no mask token ({self.tokenizer.mask_token}) in "
                                 f"{checks.describe(text)}. Do: write one where a word is wanted")
        return rows

    def forward(self, batch: Batch, options: Options) -> list[Any]:
        """Per row the (probabilities, token ids) of its masks, computed for all masks at once."""
        import torch

        logits = checks.want_logits(self.run_model(batch), self.model, self.task)
        counts = [len(row.extra) for row in batch.rows]
        lines = [line for line, count in enumerate(counts) for _ in range(count)]
        places = [place for row in batch.rows for place in row.extra]
        scores = logits[lines, places].softmax(-1)  # [masks, vocabulary]
        if options.target_ids:
            scores = scores[:, list(options.target_ids)]
        best, tokens = scores.topk(min(options.top_k, scores.shape[-1]))
        if options.target_ids:
            tokens = torch.tensor(options.target_ids, device=tokens.device)[tokens]
        pairs = list(zip(best.tolist(), tokens.tolist(), strict=True))
        ends = [sum(counts[:line + 1]) for line in range(len(counts))]
        return [pairs[end - count:end] for end, count in zip(ends, counts, strict=True)]

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """One list of fillings per mask; only the list if there is one mask."""
        row, masks = rows[0]
        single = len(masks) == 1
        filled = []
        for place, (scores, tokens) in zip(row.extra, masks, strict=True):
            texts = self._decode(row.features["input_ids"], place, tokens, single)
            words = self.tokenizer.batch_decode([[token] for token in tokens])
            filled.append([
                {"score": score, "token": token, "token_str": word, "sequence": text}
                for score, token, word, text in zip(scores, tokens, words, texts, strict=True)])
        return filled[0] if single else filled

    def _decode(self, ids: list[int], place: int, tokens: list[int], single: bool) -> list[str]:
        """The text with each of `tokens` at `place`; other masks stay visible."""
        pad = self.tokenizer.pad_token_id
        versions = [[*ids[:place], token, *ids[place + 1:]] for token in tokens]
        kept = [[token for token in version if token != pad] for version in versions]
        decoded: list[str] = self.tokenizer.batch_decode(kept, skip_special_tokens=single)
        return decoded

    def _target_ids(self, targets: str | Sequence[str]) -> tuple[int, ...]:
        vocab = self.tokenizer.get_vocab()
        found = [self._target_id(target, vocab)
                 for target in ([targets] if isinstance(targets, str) else targets)]
        ids = tuple(sorted({token for token in found if token is not None}))
        if not ids:
            raise InputError(f"{self.task}: targets={targets!r} holds no word of the vocabulary. "
                             "Do: give at least one")
        return ids

    def _target_id(self, target: str, vocab: Mapping[str, int]) -> int | None:
        if target in vocab:
            return vocab[target]
        ids = self.tokenizer(target, add_special_tokens=False)["input_ids"]
        instead = repr(self.tokenizer.convert_ids_to_tokens(ids[0])) if ids else "nothing"
        logger.warning("fill-mask: target %r is not in the vocabulary, %s is used", target, instead)
        return ids[0] if ids else None
