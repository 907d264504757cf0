"""`FaissIndex`: the nearest vectors, exactly or approximately, on CPU or GPU (extra `faiss`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import fsspec
import numpy as np

from enfold.data.executor import Progress
from enfold.data.features import LargeList, List
from enfold.data.search.base import BaseIndex, BatchedSearchResults, SearchResults
from enfold.errors import ArgumentError, DataError
from enfold.lazy import require

_log = logging.getLogger(__name__)
_PARTS = ("index", "quantizer", "clustering_index")  # of an index, which can be verbose too


def faiss() -> Any:
    """The package, or an error that says how to install it."""
    return require("faiss", "faiss")


class FaissIndex(BaseIndex):
    """An index of vectors.

    device: a GPU's number, -1 for all GPUs, a list of some; None is the CPU.  string_factory: the
    kind of index, such as "IVF1024,Flat" (default: exact search).  metric_type: such as
    `faiss.METRIC_INNER_PRODUCT` (default: L2).  custom_index: a Faiss index to use as it is.
    """

    def __init__(self, device: int | list[int] | None = None, string_factory: str | None = None,
                 metric_type: int | None = None, custom_index: Any = None) -> None:
        if string_factory is not None and custom_index is not None:
            raise DataError("FaissIndex: got string_factory and custom_index. Expected one of "
                            "them: the second is used as it is")
        if device is not None and custom_index is not None:
            raise DataError("FaissIndex: got device and custom_index. Expected one of them. Do: "
                            "pass a custom_index that is on the device already")
        faiss()
        self.device, self.string_factory = device, string_factory
        self.metric_type, self.faiss_index = metric_type, custom_index

    def add_vectors(self, vectors: Any, column: str | None = None, batch_size: int = 1000,
                    train_size: int | None = None, faiss_verbose: bool | None = None) -> None:
        """Add an array [rows, dimensions], or a column of a dataset in numpy format.

        train_size: how many of the first vectors train an index that needs it.
        """
        if column is not None and not isinstance(vectors.features[column], (List, LargeList)):
            raise DataError(f"Wrong feature type for column '{column}'. Expected 1d array, got "
                            f"{vectors.features[column]}")
        count = len(vectors)
        if self.faiss_index is None:
            if not count:
                raise DataError("FaissIndex: there are no vectors, so their size is not known. "
                                "Expected at least one")
            self.faiss_index = self._faiss_index_to_device(
                self._made(_block(vectors, column, 0, 1).shape[1]), self.device)
        if faiss_verbose is not None:
            _set_verbose(self.faiss_index, faiss_verbose)
        if train_size is not None:
            self.faiss_index.train(_block(vectors, column, 0, train_size))
        with Progress(count, "Adding vectors") as bar:
            for start in range(0, count, batch_size):
                block = _block(vectors, column, start, start + batch_size)
                self.faiss_index.add(block)
                bar(len(block))
        _log.info("%d vectors in a %s", count, type(self.faiss_index).__name__)

    def _made(self, size: int) -> Any:
        metric = () if self.metric_type is None else (self.metric_type,)
        if self.string_factory is not None:
            return faiss().index_factory(size, self.string_factory, *metric)
        return faiss().IndexFlat(size, *metric)

    @staticmethod
    def _faiss_index_to_device(index: Any, device: int | Sequence[int] | None = None) -> Any:
        if device is None:
            return index
        if isinstance(device, int):
            if device < 0:
                return faiss().index_cpu_to_all_gpus(index)
            return faiss().index_cpu_to_gpu(faiss().StandardGpuResources(), device, index)
        if isinstance(device, (list, tuple)):
            return faiss().index_cpu_to_gpus_list(index, gpus=list(device))
        raise ArgumentError(f"FaissIndex: device={device!r} is a {type(device).__name__}. Expected "
                            "None, a GPU's number, a negative number for all, or a list of numbers")

    def search(self, query: Any, k: int = 10, **kwargs: Any) -> SearchResults:
        """The k nearest of a vector [dimensions] or [1, dimensions]; -1 where there are fewer."""
        query = np.asarray(query)
        if query.ndim != 1 and (query.ndim != 2 or query.shape[0] != 1):
            raise DataError(f"FaissIndex: the query has the shape {query.shape}. Shape of query is "
                            "incorrect, it has to be either a 1D array or 2D (1, N). Do: "
                            "search_batch() for several")
        found = self._search(query.reshape(1, -1), k, kwargs)
        return SearchResults(found[0][0], found[1][0])

    def search_batch(self, queries: Any, k: int = 10, **kwargs: Any) -> BatchedSearchResults:
        """The k nearest of each vector of an array [queries, dimensions]."""
        queries = np.asarray(queries)
        if queries.ndim != 2:
            raise DataError(f"FaissIndex: the queries have the shape {queries.shape}. Shape of "
                            "query must be 2D. Do: search() for one")
        return BatchedSearchResults(*self._search(queries, k, kwargs))

    def _search(self, queries: np.ndarray, k: int, kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        if self.faiss_index is None:
            raise DataError("FaissIndex: the index is empty. Do: add_vectors() first")
        if queries.shape[1] != self.faiss_index.d:
            raise DataError(f"FaissIndex: the query has {queries.shape[1]} dimensions, and the "
                            f"vectors have {self.faiss_index.d}. Expected the same")
        scores, indices = self.faiss_index.search(_floats(queries), k, **kwargs)
        return scores, indices.astype(int)

    def save(self, file: str | os.PathLike[str],
             storage_options: Mapping[str, Any] | None = None) -> None:
        """Write the index to a path or URL, in Faiss's own format."""
        index = self.faiss_index
        if self.device is not None:
            index = faiss().index_gpu_to_cpu(index)
        with fsspec.open(os.fspath(file), "wb", **(storage_options or {})) as out:
            faiss().write_index(index, faiss().BufferedIOWriter(faiss().PyCallbackIOWriter(
                out.write)))

    @classmethod
    def load(cls, file: str | os.PathLike[str], device: int | list[int] | None = None,
             storage_options: Mapping[str, Any] | None = None) -> Self:
        """The index at a path or URL."""
        index = cls(device=device)
        with fsspec.open(os.fspath(file), "rb", **(storage_options or {})) as source:
            read = faiss().read_index(faiss().BufferedIOReader(faiss().PyCallbackIOReader(
                source.read)))
        index.faiss_index = cls._faiss_index_to_device(read, device)
        return index


def _block(vectors: Any, column: str | None, start: int, stop: int) -> np.ndarray:
    """Vectors as Faiss takes them."""
    rows = vectors[start:stop] if column is None else vectors[start:stop][column]
    block = np.asarray(rows)
    if block.ndim != 2 or block.dtype == object:
        what = "the vectors" if column is None else f"column {column!r}"
        raise DataError(f"FaissIndex: {what}: rows {start} to {start + len(block)} are no array of "
                        "vectors. Expected numbers, as many in each row, and no nulls")
    return _floats(block)


def _floats(block: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(block, dtype=np.float32)


def _set_verbose(index: Any, verbose: bool) -> None:
    index.verbose = verbose
    for name in _PARTS:
        part = getattr(index, name, None)
        if part is not None:
            part.verbose = verbose
