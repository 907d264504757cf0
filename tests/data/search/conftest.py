"""Faiss if it is there, else a stand-in of the few calls used; a client of a server of texts."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest


class IndexFlat:
    """Exact search, as Faiss's: METRIC_L2 is 1, METRIC_INNER_PRODUCT is 0."""

    def __init__(self, d: int, metric: int = 1) -> None:
        self.d, self.metric, self.vectors, self.verbose = d, metric, np.zeros((0, d), "f4"), False
        self.trained = 0

    @property
    def ntotal(self) -> int:
        return len(self.vectors)

    def train(self, vectors: np.ndarray) -> None:
        self.trained = len(vectors)

    def add(self, vectors: np.ndarray) -> None:
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        self.vectors = np.concatenate([self.vectors, vectors])

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.metric == 0:
            scores = -(queries @ self.vectors.T)
        else:
            scores = ((queries[:, None] - self.vectors[None]) ** 2).sum(-1)
        order = np.argsort(scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, order, 1) * (-1 if self.metric == 0 else 1)
        pad = ((0, 0), (0, k - order.shape[1]))
        return np.pad(found, pad), np.pad(order, pad, constant_values=-1)


def stand_in() -> ModuleType:
    module = ModuleType("faiss")
    module.IndexFlat, module.METRIC_INNER_PRODUCT, module.METRIC_L2 = IndexFlat, 0, 1
    module.index_factory = lambda d, text, *metric: IndexFlat(d, *metric)
    module.PyCallbackIOWriter = module.PyCallbackIOReader = lambda call: call
    module.BufferedIOWriter = module.BufferedIOReader = lambda call: call
    module.write_index = lambda index, write: write(pickle.dumps(index.__dict__))

    def read_index(read) -> IndexFlat:
        index = IndexFlat(1)
        index.__dict__.update(pickle.loads(read(-1)))
        return index

    module.read_index = read_index
    return module


@pytest.fixture
def faiss(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    try:
        import faiss as found
    except ImportError:
        found = stand_in()
        monkeypatch.setitem(sys.modules, "faiss", found)
    return found


class Server:
    """A client of a server that ranks by how many words are shared."""

    def __init__(self) -> None:
        self.texts: dict[str, dict[int, str]] = {}
        self.indices = SimpleNamespace(create=self.create)
        self.timeouts: list[object] = []

    def create(self, index: str, body: dict) -> None:
        assert body["mappings"]["properties"]["text"]["similarity"] == "BM25"
        self.texts[index] = {}

    def search(self, index: str, body: dict, request_timeout: object = None) -> dict:
        self.timeouts.append(request_timeout)
        words = set(body["query"]["multi_match"]["query"].split())
        scores = {row: len(words & set(text.split())) for row, text in self.texts[index].items()}
        best = sorted((row for row in scores if scores[row]), key=lambda row: -scores[row])
        return {"hits": {"hits": [{"_score": scores[row], "_id": str(row)}
                                  for row in best[:body["size"]]]}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A client; the module `elasticsearch` knows no other."""
    client = Server()
    module, helpers = ModuleType("elasticsearch"), ModuleType("elasticsearch.helpers")

    def streaming_bulk(client: Server, index: str, actions):
        for action in actions:
            fine = action["text"] != "refused"
            if fine:
                client.texts[index][action["_id"]] = action["text"]
            yield fine, action

    helpers.streaming_bulk, module.helpers = streaming_bulk, helpers
    module.Elasticsearch = lambda hosts: setattr(client, "hosts", hosts) or client
    monkeypatch.setitem(sys.modules, "elasticsearch", module)
    monkeypatch.setitem(sys.modules, "elasticsearch.helpers", helpers)
    return client
