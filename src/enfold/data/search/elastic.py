"""`ElasticSearchIndex`: texts ranked by BM25 by an Elasticsearch server (extra `elasticsearch`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Any

from enfold.data.executor import Progress
from enfold.data.search.base import BaseIndex, BatchedSearchResults, SearchResults
from enfold.errors import DataError
from enfold.lazy import require

_log = logging.getLogger(__name__)
_CONFIG = {
    "settings": {
        "number_of_shards": 1,
        "analysis": {"analyzer": {"stop_standard": {"type": "standard",
                                                    "stopwords": "_english_"}}},
    },
    "mappings": {"properties": {"text": {"type": "text", "analyzer": "standard",
                                         "similarity": "BM25"}}},
}


class ElasticSearchIndex(BaseIndex):
    """An index of texts on a server.

    host, port: of the server (localhost, 9200), or es_client: a client of it.  es_index_name: of
    the index there (default: a new name).  es_index_config: its settings and mappings (default: one
    shard, the field `text` with the standard analyzer and BM25).
    """

    def __init__(self, host: str | None = None, port: int | None = None, es_client: Any = None,
                 es_index_name: str | None = None,
                 es_index_config: Mapping[str, Any] | None = None) -> None:
        if es_client is not None and (host is not None or port is not None):
            raise DataError("ElasticSearchIndex: got es_client and host or port. Please specify "
                            "either `es_client` or `(host, port)`, but not both")
        package = require("elasticsearch", "elasticsearch")
        require("elasticsearch.helpers", "elasticsearch")
        self.es_client = es_client if es_client is not None else package.Elasticsearch(
            [f"http://{host or 'localhost'}:{port or 9200}"])
        self.es_index_name = es_index_name or f"enfold_data_{token_hex(6)}"
        self.es_index_config = es_index_config if es_index_config is not None else _CONFIG

    def add_documents(self, documents: Any, column: str | None = None) -> None:
        """Make the index on the server, of texts or of a column of a dataset."""
        helpers = require("elasticsearch.helpers", "elasticsearch")
        self.es_client.indices.create(index=self.es_index_name, body=self.es_index_config)
        done = 0
        with Progress(len(documents), "Indexing texts") as bar:
            for ok, _ in helpers.streaming_bulk(client=self.es_client, index=self.es_index_name,
                                                actions=_actions(documents, column)):
                done += bool(ok)
                bar(1)
        if done != len(documents):
            _log.warning("%d of %d texts could not be added to the index %r on the server",
                         len(documents) - done, len(documents), self.es_index_name)

    def search(self, query: str, k: int = 10, **kwargs: Any) -> SearchResults:
        """The k best texts for the words of a query.  kwargs: of the client, as request_timeout."""
        match = {"query": query, "fields": ["text"], "type": "cross_fields"}
        answer = self.es_client.search(index=self.es_index_name,
                                       body={"query": {"multi_match": match}, "size": k}, **kwargs)
        hits = answer["hits"]["hits"]
        return SearchResults([hit["_score"] for hit in hits], [int(hit["_id"]) for hit in hits])

    def search_batch(self, queries: Sequence[str], k: int = 10, max_workers: int = 10,
                     **kwargs: Any) -> BatchedSearchResults:
        """The k best texts for each query, `max_workers` queries asked at a time."""
        with ThreadPoolExecutor(max_workers=max_workers) as threads:
            found = list(threads.map(lambda query: self.search(query, k, **kwargs), queries))
        return BatchedSearchResults([one.scores for one in found], [one.indices for one in found])


def _actions(documents: Any, column: str | None) -> Iterator[dict[str, Any]]:
    for number, document in enumerate(documents):
        yield {"text": document if column is None else document[column], "_id": number}
