"""What an index answers, and what every kind of index does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from enfold.errors import DataError


class MissingIndex(DataError):  # noqa: N818 - the name of `datasets`
    """A dataset has no index of this name."""


class SearchResults(NamedTuple):
    """The best rows for a query: their scores and numbers."""

    scores: Any
    indices: Any


class BatchedSearchResults(NamedTuple):
    """The best rows for each of several queries."""

    total_scores: Any
    total_indices: Any


class NearestExamplesResults(NamedTuple):
    """The best rows for a query: their scores and columns."""

    scores: Any
    examples: Any


class BatchedNearestExamplesResults(NamedTuple):
    """The best rows for each of several queries."""

    total_scores: list[Any]
    total_examples: list[Any]


class BaseIndex:
    """An index of rows.  A kind of index has `search`, and may have the others."""

    def search(self, query: Any, k: int = 10, **kwargs: Any) -> SearchResults:
        """The k best rows for a query, the best first."""
        raise NotImplementedError(f"{type(self).__name__} has no search(). Do: write it, "
                                  "returning SearchResults(scores, indices)")

    def search_batch(self, queries: Sequence[Any], k: int = 10,
                     **kwargs: Any) -> BatchedSearchResults:
        """The k best rows for each query."""
        found = [self.search(query, k, **kwargs) for query in queries]
        return BatchedSearchResults([one.scores for one in found], [one.indices for one in found])

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the index to a file."""
        raise NotImplementedError(f"{type(self).__name__} can't be saved to a file")

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        """The index in a file."""
        raise NotImplementedError(f"{cls.__name__} can't be loaded from a file")
