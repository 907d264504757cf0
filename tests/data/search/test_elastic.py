"""Indexes of texts on a server, which stands in the process."""

from __future__ import annotations

import pytest

from enfold.data import Dataset
from enfold.data.search import ElasticSearchIndex
from enfold.errors import DataError, DependencyError


@pytest.fixture
def rows() -> Dataset:
    return Dataset.from_dict({"text": ["a cat", "a big dog", "a cat and a dog"], "n": [0, 1, 2]})


def test_nearest_rows_of_a_column(rows, server) -> None:
    rows.set_format("numpy", columns=["n"])
    assert rows.add_elasticsearch_index("text", es_client=server) is rows
    scores, found = rows.get_nearest_examples("text", "big dog", k=2)
    assert found["n"].tolist() == [1, 2]
    assert scores == [2, 1]
    rows.search("text", "dog", request_timeout=30)
    assert server.timeouts[-1] == 30


def test_several_queries_in_order(rows, server) -> None:
    rows.add_elasticsearch_index("text", es_client=server)
    found = rows.search_batch("text", ["cat", "big", "nothing"], k=5)
    assert found.total_indices == [[0, 2], [1], []]
    _, examples = rows.get_nearest_examples_batch("text", ["cat", "nothing"])
    assert [one["n"] for one in examples] == [[0, 2], []]


def test_an_index_that_is_on_the_server(rows, server) -> None:
    rows.add_elasticsearch_index("text", es_client=server, es_index_name="texts")
    other = Dataset.from_dict({"n": [5, 6, 7]})
    other.load_elasticsearch_index("t", "texts", es_client=server)
    assert other.get_nearest_examples("t", "big")[1]["n"] == [6]


def test_texts_that_the_server_refuses_are_told(server, caplog) -> None:
    ElasticSearchIndex(es_client=server).add_documents(["a", "refused"])
    assert "1 of 2 texts could not be added" in caplog.text


def test_host_and_client(rows, server) -> None:
    ElasticSearchIndex("search.example", 9201)
    assert server.hosts == ["http://search.example:9201"]
    with pytest.raises(DataError, match="either `es_client` or"):
        ElasticSearchIndex("search.example", es_client=server)
    with pytest.raises(DataError, match="is not a FaissIndex but a 'ElasticSearchIndex'"):
        rows.add_elasticsearch_index("text", es_client=server).save_faiss_index("text", "x")


def test_without_the_package_the_extra_is_named(rows, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "elasticsearch", None)
    with pytest.raises(DependencyError, match=r"enfold\[elasticsearch\]"):
        rows.add_elasticsearch_index("text")
