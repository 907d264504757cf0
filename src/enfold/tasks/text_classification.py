"""text-classification: one label, or the k best, for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from enfold.errors import InputError
from enfold.tasks import checks
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Row
from enfold.tasks.options import TOKENIZE, UNSET, Passing, Unset

FUNCTIONS = ("softmax", "sigmoid", "none")


@dataclass(frozen=True, slots=True)
class Options:
    """Call arguments of text-classification.

    top_k              labels to return, best first; None: all.  Without it a result is one dict
    function_to_apply  "softmax", "sigmoid" or "none"; None: what the config's problem type asks for
    return_all_scores  the older spelling of top_k: True gives all labels in the config's order
    Other arguments go to the tokenizer: `truncation=True`, `max_length=`, `padding=`, ...
    """

    PASSING = Passing(TOKENIZE)
    top_k: int | str | Unset | None = UNSET
    function_to_apply: str | None = None
    return_all_scores: bool | None = None
    rest: dict[str, Any] = field(default_factory=dict)


class TextClassificationPipeline(Pipeline[Options]):
    """Labels with scores, `{"label": str, "score": float}`, for texts.

    `pipe("text")` gives a list of one dict, `pipe(["a", "b"])` one dict each; with `top_k` one list
    of dicts each.  A pair is `{"text": ..., "text_pair": ...}`.
    """

    name = "text-classification"
    options = Options

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Classify a text, a pair as a dict, or many of them."""
        result = self.apply(inputs, dict(kwargs))
        return [result] if isinstance(inputs, str) and "top_k" not in kwargs else result

    def resolve(self, options: Options) -> Options:
        """Settle on the function that turns logits into scores."""
        config = self.model.config
        function = options.function_to_apply or default_function(config)
        if function.lower() not in FUNCTIONS:
            raise InputError(f"{self.task}: function_to_apply={function!r}, expected one of "
                             f"{', '.join(FUNCTIONS)}")
        every = options.return_all_scores
        if every is None:
            every = config.to_dict().get("return_all_scores")
        return replace(options, function_to_apply=function.lower(), return_all_scores=every)

    def pre(self, window: Sequence[Any], options: Options) -> list[Row]:
        """Tokenize the texts of the window together, then its pairs."""
        split = [self._pair(item) for item in window]
        rows: list[Row] = []
        for paired in (False, True):
            chosen = [i for i, (_, pair) in enumerate(split) if (pair is not None) == paired]
            if chosen:
                texts, pairs = zip(*(split[i] for i in chosen), strict=True)
                encoded = self.encode(list(texts), list(pairs) if paired else None, **options.rest)
                rows += self.rows_of(encoded, chosen)
        return rows

    def forward(self, batch: Batch, options: Options) -> list[list[float]]:
        """The scores of all labels, [B, labels]."""
        logits = checks.want_logits(self.run_model(batch), self.model, self.task).float()
        if options.function_to_apply == "softmax":
            logits = logits.softmax(-1)
        elif options.function_to_apply == "sigmoid":
            logits = logits.sigmoid()
        return logits.tolist()  # type: ignore[no-any-return]

    def post(self, item: Any, rows: list[tuple[Row, Any]], options: Options) -> Any:
        """The best label, or a list of them."""
        scores: list[float] = rows[0][1]
        names = self.model.config.id2label
        if not isinstance(options.top_k, int) and options.top_k is not None:
            if not options.return_all_scores:
                best = scores.index(max(scores))
                return {"label": names[best], "score": scores[best]}
            return [{"label": names[i], "score": score} for i, score in enumerate(scores)]
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        return [{"label": names[i], "score": scores[i]} for i in order[:options.top_k]]

    def ragged(self, options: Options) -> bool:
        """Without a pad token a decoder can't tell where a padded row ends."""
        return self.batch_limit(options) is None

    def batch_limit(self, options: Options) -> int | None:
        """One row at a time where the config names no pad token."""
        return None if self.model.config.to_dict().get("pad_token_id") is not None else 1

    def _pair(self, item: Any) -> tuple[str, str | None]:
        if isinstance(item, str):
            return item, None
        if isinstance(item, list) and len(item) == 1 and isinstance(item[0], list):
            text, pair = item[0]  # the oldest way to write a pair
            return text, pair
        if isinstance(item, dict) and item.keys() <= {"text", "text_pair"} and "text" in item:
            return checks.want_text(item["text"], self.task), item.get("text_pair")
        raise InputError(f"{self.task}: got {checks.describe(item)}, expected a string or a pair. "
                         'Do: write a pair as {"text": "one", "text_pair": "other"}')


def default_function(config: Any) -> str:
    """What turns this model's logits into scores."""
    problem = config.problem_type
    if problem == "regression":
        return "none"
    if problem == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"
