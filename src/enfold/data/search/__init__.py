"""Search: indexes over the rows of a dataset, of vectors (Faiss) and of text (Elasticsearch)."""

from enfold.data.search.base import (
    BaseIndex,
    BatchedNearestExamplesResults,
    BatchedSearchResults,
    MissingIndex,
    NearestExamplesResults,
    SearchResults,
)
from enfold.data.search.elastic import ElasticSearchIndex
from enfold.data.search.vectors import FaissIndex

__all__ = ["BaseIndex", "BatchedNearestExamplesResults", "BatchedSearchResults",
           "ElasticSearchIndex", "FaissIndex", "MissingIndex", "NearestExamplesResults",
           "SearchResults"]
