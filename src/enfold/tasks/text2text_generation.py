"""text2text-generation, summarization, translation: an encoder-decoder writes text from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from enfold.errors import InputError
from enfold.tasks import checks
from enfold.tasks.batching import Batch, Row
from enfold.tasks.generating import GenerationPipeline
from enfold.tasks.options import Passing


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of text2text-generation, summarization and translation.

    return_tensors      True: token ids as a tensor in place of text
    truncation          as the tokenizer takes it; by default a text is not cut
    stop_sequence       end at this text
    src_lang, tgt_lang  translation with a multilingual model: languages as its tokenizer has them
    clean_up_tokenization_spaces    for decoding
    Other arguments go to `generate`: `max_new_tokens=`, `num_beams=`, `min_length=`, ...
    """

    PASSING = Passing(None)
    return_tensors: bool = False
    return_text: bool | None = None
    clean_up_tokenization_spaces: bool = False
    truncation: bool | str = False
    stop_sequence: str | list[str] | None = None
    src_lang: str | None = None
    tgt_lang: str | None = None
    rest: dict[str, Any] = field(default_factory=dict)


class Text2TextGenerationPipeline(GenerationPipeline[Options]):
    """`[{"generated_text": str}]` for a text, a list of dicts for a list.

    Unless the call or the model's generation config say otherwise: 4 beams, up to 256 tokens.
    """

    name = "text2text-generation"
    options = Options
    defaults = {"max_new_tokens": 256, "num_beams": 4}  # noqa: RUF012
    returns: ClassVar[str] = "generated"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Write a text for each text given."""
        results = super().__call__(*args, **kwargs)
        texts = args[0]
        if isinstance(texts, list) and all(len(records) == 1 for records in results):
            return [records[0] for records in results]
        return results

    def resolve(self, options: Options) -> Options:
        """Settle the arguments of `generate`."""
        return replace(options, rest=self.settings(options.rest, options.stop_sequence))

    def settings_of(self, options: Options) -> Mapping[str, Any]:
        """The resolved arguments of `generate`."""
        return options.rest

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize the window, each text behind the task's prefix."""
        texts = [self.prefix + checks.want_text(item, self.task) for item in window]
        rows = self.rows_of(self.encode(texts, truncation=options.truncation), range(len(texts)))
        for row in rows:
            row.features.pop("token_type_ids", None)  # no argument of generate
        return rows

    def forward(self, batch: Batch, options: Options) -> list[Any]:
        """Per row its generated sequences."""
        return [sequences for sequences, _ in self.generate(batch, options.rest)]

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """One record per sequence."""
        import torch

        _, sequences = rows[0]
        if options.return_tensors:
            return [{f"{self.returns}_token_ids": torch.tensor(ids)} for ids in sequences]
        texts = (self.tokenizer.decode(
            ids, skip_special_tokens=True,
            clean_up_tokenization_spaces=options.clean_up_tokenization_spaces) for ids in sequences)
        return [{f"{self.returns}_text": text} for text in texts]


class SummarizationPipeline(Text2TextGenerationPipeline):
    """`[{"summary_text": str}]` for a text."""

    name = "summarization"
    returns = "summary"


class TranslationPipeline(Text2TextGenerationPipeline):
    """`[{"translation_text": str}]` for a text.

    The languages come from `src_lang=`, `tgt_lang=` or the task's name, `translation_en_to_fr`;
    models for one pair of languages need neither.
    """

    name = "translation"
    returns = "translation"

    def resolve(self, options: Options) -> Options:
        """Tell a multilingual tokenizer and `generate` the languages."""
        resolved = super().resolve(options)
        source, target = options.src_lang, options.tgt_lang
        parts = self.task.split("_")
        if source is None and target is None and len(parts) == 4:
            source, target = parts[1], parts[3]
        if not self._multilingual():
            return resolved
        if source is None or target is None:
            raise InputError(f"{self.task}: this model translates between many languages, got "
                             f"src_lang={source!r}, tgt_lang={target!r}. Do: give both")
        self.tokenizer.src_lang = source
        start = {"forced_bos_token_id": self._language(target)}
        return replace(resolved, rest=resolved.rest | start)

    def _multilingual(self) -> bool:
        """Whether the tokenizer marks texts with their language."""
        kind = getattr(self.tokenizer, "kind", None)
        return bool(kind.language) if kind is not None else hasattr(self.tokenizer, "src_lang")

    def _language(self, name: str) -> int:
        """The token that starts a text in this language."""
        if hasattr(self.tokenizer, "get_lang_id"):
            return int(self.tokenizer.get_lang_id(name))
        found = self.tokenizer.convert_tokens_to_ids(name)
        if found is None or found == self.tokenizer.unk_token_id:
            raise InputError(f"{self.task}: the tokenizer has no language {name!r}. "
                             "Do: write it as the model's card does, as 'fra_Latn' or 'fr_XX'")
        return int(found)
