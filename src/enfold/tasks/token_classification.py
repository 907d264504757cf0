"""token-classification (ner): a label for each token, or entities made of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from enfold.errors import InputError
from enfold.tasks import checks
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Row
from enfold.tasks.entities import AggregationStrategy, Token, entities_of, without_overlaps


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of token-classification.

    aggregation_strategy  "none": a result per token; "simple": neighbours of one tag joined;
                          "first", "average", "max": words first, tagged by their first token, by
                          the average of the scores, by the likeliest token
    ignore_labels         labels left out, ["O"] by default
    stride                cut a long text into rows that share this many tokens (needs a strategy);
                          without it a text is cut off at the tokenizer's limit
    is_split_into_words   items are lists of words; `delimiter` joins them to a text
    offset_mapping        characters of each token, one list per text, in place of the tokenizer's
    grouped_entities, ignore_subwords   the older spelling of "simple" and "first"
    """

    aggregation_strategy: str | AggregationStrategy | None = None
    ignore_labels: Sequence[str] = ("O",)
    stride: int | None = None
    is_split_into_words: bool = False
    delimiter: str | None = None
    offset_mapping: Any = None
    grouped_entities: bool | None = None
    ignore_subwords: bool | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A row's text, and per token its characters and whether it is special."""

    text: str
    offsets: list[tuple[int, int]] | None
    special: list[int]


class TokenClassificationPipeline(Pipeline[Options]):
    """A list of entities for each text.

    "none": `{"entity", "score", "index", "word", "start", "end"}` per token; any other strategy:
    `{"entity_group", "score", "word", "start", "end"}`.  Scores are numpy floats.
    """

    name = "token-classification"
    options = Options

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Label the tokens of a text, or of many."""
        if isinstance(inputs, (list, tuple)) and not inputs:
            raise InputError(f"{self.task}: got an empty list. Do: pass at least one text")
        split = kwargs.get("is_split_into_words", self._defaults.get("is_split_into_words"))
        if split and isinstance(inputs, (list, tuple)) and not isinstance(inputs[0], (list, tuple)):
            inputs = [inputs]  # one text's words
        if kwargs.get("offset_mapping"):
            inputs, kwargs = with_offsets(inputs, kwargs, self.task)
        return self.apply(inputs, kwargs)

    def resolve(self, options: Options) -> Options:
        """Read the strategy from either spelling; check that a stride makes sense."""
        strategy = read_strategy(options, self.task)
        if options.stride is not None:
            if options.stride >= self.tokenizer.model_max_length:
                raise InputError(f"{self.task}: stride={options.stride} must be less than the "
                                 f"tokenizer's limit of {self.tokenizer.model_max_length} tokens")
            if strategy is AggregationStrategy.NONE:
                raise InputError(f"{self.task}: stride needs entities that can be merged. "
                                 "Do: pass aggregation_strategy='simple', or another but 'none'")
        return replace(options, aggregation_strategy=strategy)

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize the texts, each cut at the tokenizer's limit or, with a stride, into rows."""
        given = [item.offsets if isinstance(item, WithOffsets) else None for item in window]
        items = [item.item if isinstance(item, WithOffsets) else item for item in window]
        texts, inputs = self._texts(items, options)
        more = {} if options.stride is None else {"stride": options.stride,
                                                  "return_overflowing_tokens": True}
        encoded = self.encode(
            inputs, truncation=bool(self.tokenizer.model_max_length),
            return_special_tokens_mask=True, return_offsets_mapping=self.tokenizer.is_fast,
            is_split_into_words=options.is_split_into_words, **more)
        owners = encoded["overflow_to_sample_mapping"] if more else range(len(items))
        rows = self.rows_of(encoded, owners)
        for line, row in enumerate(rows):
            offsets = given[row.item] or self._offsets(encoded, line, items[row.item], options)
            row.extra = Text(texts[row.item], offsets, encoded["special_tokens_mask"][line])
        return rows

    def forward(self, batch: Batch, options: Options) -> list[Any]:
        """The label scores of each row's tokens, [T, labels] numpy."""
        logits = checks.want_logits(self.run_model(batch), self.model, self.task)
        scores = logits.float().softmax(-1).cpu().numpy()
        return [scores[line, :length] for line, length in enumerate(batch.lengths)]

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """Entities of all rows, without the ignored labels."""
        strategy = options.aggregation_strategy
        assert isinstance(strategy, AggregationStrategy)
        labels = self.model.config.id2label
        found = [
            entity for row, scores in rows
            for entity in entities_of(self._tokens(row, scores), strategy, labels, self.tokenizer)
            if entity.get("entity", entity.get("entity_group")) not in options.ignore_labels]
        return without_overlaps(found) if len(rows) > 1 else found

    def _texts(self, items: list[Any], options: Options) -> tuple[list[str], list[Any]]:
        """The texts, and what the tokenizer gets: the texts, or their words."""
        if not options.is_split_into_words:
            texts = [checks.want_text(item, self.task) for item in items]
            return texts, texts
        for item in items:
            if not isinstance(item, (list, tuple)):
                raise InputError(f"{self.task}: is_split_into_words=True, but got "
                                 f"{checks.describe(item)}. Do: pass each text as a list of words")
        joint = " " if options.delimiter is None else options.delimiter
        return [joint.join(item) for item in items], [list(item) for item in items]

    def _offsets(self, encoded: Any, line: int, item: Any, options: Options) -> Any:
        """Characters of each token in the text, None from a tokenizer that does not know."""
        offsets = encoded["offset_mapping"][line] if "offset_mapping" in encoded else None
        if offsets is None or not options.is_split_into_words:
            return offsets
        joint = len(" " if options.delimiter is None else options.delimiter)
        starts = [sum(len(word) + joint for word in item[:place]) for place in range(len(item))]
        return [(start, end) if word is None else (start + starts[word], end + starts[word])
                for (start, end), word in zip(offsets, encoded.word_ids(line), strict=True)]

    def _tokens(self, row: Row, scores: Any) -> list[Token]:
        """The row's tokens, special ones left out."""
        ids, text = row.features["input_ids"], row.extra
        words = self.tokenizer.convert_ids_to_tokens(ids)
        tokens = []
        for index, word in enumerate(words):
            if text.special[index]:
                continue
            if text.offsets is None:
                tokens.append(Token(word, scores[index], None, None, index, False))
                continue
            start, end = text.offsets[index]
            subword = self._is_subword(word, text.text, start, end)
            if ids[index] == self.tokenizer.unk_token_id:
                word, subword = text.text[start:end], False
            tokens.append(Token(word, scores[index], start, end, index, subword))
        return tokens

    def _is_subword(self, word: str, text: str, start: int, end: int) -> bool:
        """Whether a token continues a word: by the vocabulary's mark, or no space before it."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if getattr(getattr(backend, "model", None), "continuing_subword_prefix", None):
            return len(word) != end - start
        return start > 0 and " " not in text[start - 1:start + 1]


NerPipeline = TokenClassificationPipeline


@dataclass(frozen=True, slots=True)
class WithOffsets:
    """An item with the characters of its tokens."""

    item: Any
    offsets: Any


def with_offsets(inputs: Any, kwargs: dict[str, Any], where: str) -> tuple[Any, dict[str, Any]]:
    """Pair each text with its entry of `offset_mapping`."""
    mapping = kwargs["offset_mapping"]
    mapping = [mapping] if isinstance(mapping[0], tuple) else mapping
    items = [inputs] if isinstance(inputs, str) else list(inputs)
    if len(mapping) != len(items):
        raise InputError(f"{where}: offset_mapping has {len(mapping)} entries for {len(items)} "
                         "texts. Do: give one list of (start, end) per text")
    paired = [WithOffsets(item, offsets) for item, offsets in zip(items, mapping, strict=True)]
    left = {name: value for name, value in kwargs.items() if name != "offset_mapping"}
    return paired[0] if isinstance(inputs, str) else paired, left


def read_strategy(options: Options, where: str) -> AggregationStrategy:
    """The strategy from `aggregation_strategy`, or from the older arguments."""
    if options.grouped_entities is not None or options.ignore_subwords is not None:
        if not options.grouped_entities:
            return AggregationStrategy.NONE
        return AggregationStrategy.FIRST if options.ignore_subwords else AggregationStrategy.SIMPLE
    strategy = options.aggregation_strategy or AggregationStrategy.NONE
    if isinstance(strategy, AggregationStrategy):
        return strategy
    known = [choice.value for choice in AggregationStrategy]
    if strategy.lower() not in known:
        raise InputError(f"{where}: aggregation_strategy={strategy!r}, expected one of "
                         f"{', '.join(known)}")
    return AggregationStrategy(strategy.lower())
