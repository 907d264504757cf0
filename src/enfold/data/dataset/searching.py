"""Search indexes that go with a dataset: `ds.add_faiss_index("vectors")`, then the nearest rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from enfold.data.dataset.rows import Rows
from enfold.data.plan import Node, Reshape
from enfold.data.search import (
    BaseIndex,
    BatchedNearestExamplesResults,
    BatchedSearchResults,
    ElasticSearchIndex,
    FaissIndex,
    MissingIndex,
    NearestExamplesResults,
    SearchResults,
)
from enfold.errors import DataError, nearest

_MOVING = {"select", "skip", "shard", "shuffle", "sort", "train split", "test split"}


class Searching(Rows):
    """What finds rows by their vectors or texts.  An index is of all rows, in their order."""

    def add_faiss_index(self, column: str, index_name: str | None = None,
                        device: int | list[int] | None = None, string_factory: str | None = None,
                        metric_type: int | None = None, custom_index: Any = None,
                        batch_size: int = 1000, train_size: int | None = None,
                        faiss_verbose: bool = False, dtype: Any = np.float32) -> Self:
        """Index a column of vectors, in place.  See `FaissIndex` for the arguments."""
        self._known(column, "add_faiss_index")
        index = FaissIndex(device, string_factory, metric_type, custom_index)
        with self.formatted_as("numpy", [column], dtype=dtype):
            index.add_vectors(self, column, batch_size, train_size, faiss_verbose)
        self._indexes[index_name or column] = index
        return self

    def add_faiss_index_from_external_arrays(
            self, external_arrays: Any, index_name: str, device: int | list[int] | None = None,
            string_factory: str | None = None, metric_type: int | None = None,
            custom_index: Any = None, batch_size: int = 1000, train_size: int | None = None,
            faiss_verbose: bool = False, dtype: Any = np.float32) -> None:
        """Index an array [rows, dimensions] of vectors, one for each row, in place."""
        index = FaissIndex(device, string_factory, metric_type, custom_index)
        vectors = np.asarray(external_arrays).astype(dtype)
        index.add_vectors(vectors, None, batch_size, train_size, faiss_verbose)
        self._indexes[index_name] = index

    def save_faiss_index(self, index_name: str, file: str | os.PathLike[str],
                         storage_options: Mapping[str, Any] | None = None) -> None:
        """Write an index of vectors to a path or URL."""
        index = self.get_index(index_name)
        if not isinstance(index, FaissIndex):
            raise DataError(f"save_faiss_index: Index '{index_name}' is not a FaissIndex but a "
                            f"'{type(index).__name__}'")
        index.save(file, storage_options=storage_options)

    def load_faiss_index(self, index_name: str, file: str | os.PathLike[str],
                         device: int | list[int] | None = None,
                         storage_options: Mapping[str, Any] | None = None) -> None:
        """Take an index of vectors from a path or URL; it must be of as many rows."""
        index = FaissIndex.load(file, device=device, storage_options=storage_options)
        if index.faiss_index.ntotal != len(self):
            raise DataError(f"load_faiss_index: Index '{index_name}' at {file} is of "
                            f"{index.faiss_index.ntotal} vectors, and the dataset has {len(self)} "
                            "rows. Index size should match Dataset size")
        self._indexes[index_name] = index

    def add_elasticsearch_index(self, column: str, index_name: str | None = None,
                                host: str | None = None, port: int | None = None,
                                es_client: Any = None, es_index_name: str | None = None,
                                es_index_config: Mapping[str, Any] | None = None) -> Self:
        """Index a column of texts on a server, in place.  See `ElasticSearchIndex`."""
        self._known(column, "add_elasticsearch_index")
        index = ElasticSearchIndex(host, port, es_client, es_index_name, es_index_config)
        with self.formatted_as(None, [column]):
            index.add_documents(self, column)
        self._indexes[index_name or column] = index
        return self

    def load_elasticsearch_index(self, index_name: str, es_index_name: str,
                                 host: str | None = None, port: int | None = None,
                                 es_client: Any = None,
                                 es_index_config: Mapping[str, Any] | None = None) -> None:
        """Use an index of texts that is on a server."""
        self._indexes[index_name] = ElasticSearchIndex(host, port, es_client, es_index_name,
                                                       es_index_config)

    def list_indexes(self) -> list[str]:
        """The names of the indexes."""
        return list(self._indexes)

    def is_index_initialized(self, index_name: str) -> bool:
        """Whether there is an index of this name."""
        return index_name in self._indexes

    def get_index(self, index_name: str) -> BaseIndex:
        """An index; `.faiss_index` or `.es_client` of it is what it stands on."""
        if index_name not in self._indexes:
            near = nearest(index_name, self._indexes)
            raise MissingIndex(f"Index with index_name '{index_name}' not initialized yet{near}. "
                               "Please make sure that you call `add_faiss_index` or "
                               "`add_elasticsearch_index` first")
        return self._indexes[index_name]  # type: ignore[no-any-return]

    def drop_index(self, index_name: str) -> None:
        """Let go of an index."""
        self.get_index(index_name)
        del self._indexes[index_name]

    def search(self, index_name: str, query: Any, k: int = 10, **kwargs: Any) -> SearchResults:
        """(scores, numbers) of the k best rows for a vector or a text.  kwargs: of the index."""
        return self.get_index(index_name).search(query, k, **kwargs)

    def search_batch(self, index_name: str, queries: Any, k: int = 10,
                     **kwargs: Any) -> BatchedSearchResults:
        """(scores, numbers) of the k best rows for each query."""
        return self.get_index(index_name).search_batch(queries, k, **kwargs)

    def get_nearest_examples(self, index_name: str, query: Any, k: int = 10,
                             **kwargs: Any) -> NearestExamplesResults:
        """(scores, columns) of the k best rows for a vector or a text; fewer if there are fewer."""
        found = self.search(index_name, query, k, **kwargs)
        return NearestExamplesResults(*self._examples(found.scores, found.indices))

    def get_nearest_examples_batch(self, index_name: str, queries: Any, k: int = 10,
                                   **kwargs: Any) -> BatchedNearestExamplesResults:
        """(scores, columns) of the k best rows for each query."""
        found = self.search_batch(index_name, queries, k, **kwargs)
        each = [self._examples(*pair) for pair in zip(*found, strict=True)]
        return BatchedNearestExamplesResults([one[0] for one in each], [one[1] for one in each])

    def _examples(self, scores: Any, indices: Sequence[int]) -> tuple[Any, Any]:
        rows = [int(number) for number in indices if number >= 0]
        return scores[:len(rows)], self[rows]

    # -- an index fits as long as the rows stay

    def _with(self, node: Node, fingerprint: str | None = None) -> Self:
        if self._indexes:
            self._check_fits(node)
        return super()._with(node, fingerprint)

    def _check_fits(self, node: Node) -> None:
        """Raises if other rows, or rows in another order, would come out."""
        what = node.name if isinstance(node, Reshape) else node.label()
        if what in _MOVING:
            problem = f"Using `.{what}` on a dataset with attached indexes is not allowed"
        elif (rows := node.rows if node.rows is not None else node.frame().num_rows) \
                != self.num_rows:
            problem = f"got {rows} rows of {self.num_rows}"
        else:
            return
        raise DataError(f"{what}: {problem}, as the search indexes {self.list_indexes()} would no "
                        "longer fit. You can first run `.drop_index() to remove your index and "
                        "then re-add it")
