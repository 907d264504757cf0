"""feature-extraction: the model's first output (hidden states) for each token of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enfold.errors import ArgumentError
from enfold.tasks import checks
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Row


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of feature-extraction.

    return_tensors   True: a tensor [1, T, D]; by default nested lists of that shape
    truncation       as the tokenizer takes it
    tokenize_kwargs  more arguments for the tokenizer
    """

    return_tensors: bool = False
    truncation: bool | str | None = None
    tokenize_kwargs: Mapping[str, Any] | None = None


class FeatureExtractionPipeline(Pipeline[Options]):
    """Features [1, T, D] of a text of T tokens; a list of texts gives a list of these."""

    name = "feature-extraction"
    options = Options

    def resolve(self, options: Options) -> Options:
        """Join the two places where the tokenizer's arguments may be given."""
        kwargs = dict(options.tokenize_kwargs or {})
        if options.truncation is None:
            return replace(options, tokenize_kwargs=kwargs)
        if "truncation" in kwargs:
            raise ArgumentError(f"{self.task}: truncation is given twice, as an argument and in "
                                "tokenize_kwargs. Do: leave one out")
        return replace(options, tokenize_kwargs=kwargs | {"truncation": options.truncation})

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize the window."""
        texts = [checks.want_text(item, self.task) for item in window]
        encoded = self.encode(texts, **(options.tokenize_kwargs or {}))
        return self.rows_of(encoded, range(len(texts)))

    def forward(self, batch: Batch, options: Options) -> list[Any]:
        """Each row's own part of the first output, [1, T, D] on the CPU."""
        features = self.run_model(batch)[0].cpu()
        parts = [features[line:line + 1, :length] for line, length in enumerate(batch.lengths)]
        return parts if options.return_tensors else [part.tolist() for part in parts]

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """The row's features; a tensor is copied so that autograd may use it."""
        return rows[0][1].clone() if options.return_tensors else rows[0][1]
