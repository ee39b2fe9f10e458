"""opensearch-py against the running program."""

import uuid

import pytest
from opensearchpy import NotFoundError, OpenSearch, RequestError, helpers


@pytest.fixture(scope="module")
def client(es_url):
    client = OpenSearch(es_url, http_compress=True, timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="module")
def index(client):
    name = f"logs-os{uuid.uuid4().hex[:8]}-default"
    events = [
        {"_index": name, "@timestamp": 1_767_225_600_000 + n * 1000, "message": f"order {n} paid", "shop": {"id": n % 4}, "paid": n * 1.5}
        for n in range(100)
    ]
    assert helpers.bulk(client, events, refresh=True) == (100, [])
    return name


def test_connects(client):
    assert client.ping()
    assert client.info()["tagline"]


def test_searches_and_counts(client, index):
    body = {
        "query": {"bool": {"filter": [{"term": {"shop.id": 2}}, {"match": {"message": "paid"}}]}},
        "sort": [{"@timestamp": "desc"}],
        "aggs": {"paid": {"sum": {"field": "paid"}}},
        "size": 3,
    }
    found = client.search(index=index, body=body)
    assert found["hits"]["total"]["value"] == 25
    assert [hit["_source"]["message"] for hit in found["hits"]["hits"]] == ["order 98 paid", "order 94 paid", "order 90 paid"]
    assert found["aggregations"]["paid"]["value"] == sum(n * 1.5 for n in range(2, 100, 4))
    assert client.count(index=index, body={"query": {"range": {"paid": {"lt": 15}}}})["count"] == 10
    assert client.search(index=index, params={"q": "message:paid AND shop.id:1", "size": 0})["hits"]["total"]["value"] == 25


def test_pages_by_search_after(client, index):
    seen, after = [], None
    while True:
        body = {"size": 33, "sort": ["@timestamp", "_doc"], **({"search_after": after} if after else {})}
        hits = client.search(index=index, body=body)["hits"]["hits"]
        if not hits:
            break
        seen += [hit["_id"] for hit in hits]
        after = hits[-1]["sort"]
    assert len(seen) == len(set(seen)) == 100


def test_histogram_and_top_values(client, index):
    aggs = {
        "times": {"date_histogram": {"field": "@timestamp", "fixed_interval": "30s"}, "aggs": {"shops": {"terms": {"field": "shop.id"}}}},
    }
    buckets = client.search(index=index, body={"size": 0, "aggs": aggs})["aggregations"]["times"]["buckets"]
    assert [bucket["doc_count"] for bucket in buckets] == [30, 30, 30, 10]
    assert buckets[0]["shops"]["buckets"][0] == {"key": 0, "doc_count": 8}


def test_msearch_mapping_and_cat(client, index):
    answer = client.msearch(body=[{"index": index}, {"size": 0}, {"index": index}, {"size": 0, "query": {"match_none": {}}}])
    assert [response["hits"]["total"]["value"] for response in answer["responses"]] == [100, 0]
    assert client.indices.get_mapping(index=index)[index]["mappings"]["properties"]["paid"]["type"] == "double"
    assert client.indices.exists(index=index) and not client.indices.exists(index="logs-missing-default")
    assert any(row["index"] == index for row in client.cat.indices(format="json"))
    assert client.field_caps(index=index, fields="shop.*")["fields"]["shop.id"]["long"]["aggregatable"]


def test_errors(client, index):
    with pytest.raises(RequestError, match="parsing_exception"):
        client.search(index=index, body={"query": {"nope": {}}})
    with pytest.raises(NotFoundError):
        client.search(index="logs-missing-default", body={})
