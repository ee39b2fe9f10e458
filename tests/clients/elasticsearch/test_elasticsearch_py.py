"""elasticsearch-py against the running program: what its users write first."""

import uuid

import pytest
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError, helpers

LEVELS = ["info", "error", "warn"]


@pytest.fixture(scope="module")
def client(es_url):
    with Elasticsearch(es_url, request_timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def index(client):
    """An index of 300 events, one a second."""
    name = f"logs-py{uuid.uuid4().hex[:8]}-default"

    def event(n):
        return {
            "@timestamp": f"2026-01-01T00:{n // 60:02}:{n % 60:02}.{n:03}Z",
            "message": f"GET /item/{n} answered by worker-{n % 7}",
            "log": {"level": LEVELS[n % 3]},
            "n": n,
            "took": n / 4,
            "ok": n % 2 == 0,
        }

    actions = ({"_op_type": "create", "_index": name, "_source": event(n)} for n in range(300))
    done, failed = helpers.bulk(client, actions, refresh="wait_for")
    assert (done, failed) == (300, [])
    return name


def test_connects_and_tells_its_version(client):
    assert client.ping()
    assert client.info()["version"]["number"].startswith("8.")
    assert client.cluster.health()["number_of_nodes"] == 1


def test_counts_exactly(client, index):
    assert client.count(index=index)["count"] == 300
    assert client.count(index=index, query={"term": {"log.level": "error"}})["count"] == 100


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"match_all": {}}, 300),
        ({"match": {"message": "worker 3"}}, 300),
        ({"match_phrase": {"message": "worker-3"}}, 43),
        ({"term": {"n": 7}}, 1),
        ({"terms": {"log.level.keyword": ["info", "warn"]}}, 200),
        ({"range": {"n": {"gte": 10, "lt": 20}}}, 10),
        ({"range": {"@timestamp": {"gte": "2026-01-01T00:01:00Z", "lt": "2026-01-01T00:02:00Z"}}}, 60),
        ({"exists": {"field": "took"}}, 300),
        ({"prefix": {"log.level": "e"}}, 100),
        ({"wildcard": {"log.level": "*n*"}}, 200),
        ({"query_string": {"query": "log.level:(error OR warn) AND n:>=150"}}, 100),
        ({"bool": {"must": [{"term": {"ok": True}}], "must_not": [{"range": {"n": {"gt": 99}}}]}}, 50),
        ({"ids": {"values": ["no such id"]}}, 0),
    ],
)
def test_queries(client, index, query, count):
    assert client.search(index=index, query=query, size=0)["hits"]["total"] == {"value": count, "relation": "eq"}


def test_sort_source_and_highlight(client, index):
    found = client.search(
        index=index,
        query={"match_phrase": {"message": "item/299"}},
        source_includes=["n", "log.*"],
        highlight={"fields": {"message": {}}},
        sort=[{"@timestamp": {"order": "desc"}}],
    )
    hit = found["hits"]["hits"][0]
    assert hit["_source"] == {"log": {"level": "warn"}, "n": 299}
    assert hit["highlight"]["message"] == ["GET /<em>item</em>/<em>299</em> answered by worker-5"]


def test_pages_by_search_after(client, index):
    seen, after = [], None
    while True:
        page = client.search(index=index, size=70, sort=[{"@timestamp": "asc"}, {"_doc": "asc"}], search_after=after)
        hits = page["hits"]["hits"]
        if not hits:
            break
        seen += [hit["_source"]["n"] for hit in hits]
        after = hits[-1]["sort"]
    assert seen == list(range(300))


def test_aggregations(client, index):
    found = client.search(
        index=index,
        size=0,
        aggs={
            "levels": {"terms": {"field": "log.level"}, "aggs": {"slowest": {"max": {"field": "took"}}}},
            "minutes": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m"}},
            "took": {"percentiles": {"field": "took", "percents": [50]}},
            "numbers": {"stats": {"field": "n"}},
            "distinct": {"cardinality": {"field": "n"}},
        },
    )["aggregations"]
    assert [bucket["doc_count"] for bucket in found["levels"]["buckets"]] == [100, 100, 100]
    assert found["levels"]["buckets"][2]["slowest"]["value"] == 299 / 4
    assert [bucket["doc_count"] for bucket in found["minutes"]["buckets"]] == [60] * 5
    assert found["took"]["values"]["50.0"] == pytest.approx(149.5 / 4)
    assert found["numbers"] == {"count": 300, "min": 0.0, "max": 299.0, "avg": 149.5, "sum": 44850.0}
    assert found["distinct"]["value"] == 300


def test_msearch(client, index):
    searches = [{"index": index}, {"size": 1, "query": {"term": {"n": 5}}}, {"index": "logs-missing-default"}, {}]
    first, second = client.msearch(searches=searches)["responses"]
    assert first["hits"]["hits"][0]["_source"]["n"] == 5
    assert second["status"] == 404


def test_fields_and_mapping(client, index):
    fields = client.field_caps(index=index, fields="*")["fields"]
    assert fields["log.level"]["keyword"]["aggregatable"] and not fields["message"]["text"]["aggregatable"]
    properties = client.indices.get_mapping(index=index)[index]["mappings"]["properties"]
    assert properties["@timestamp"] == {"type": "date"} and properties["log"]["properties"]["level"] == {"type": "keyword"}


def test_cat(client, index):
    rows = {row["index"]: row for row in client.cat.indices(format="json")}
    assert rows[index]["docs.count"] == "300"
    assert index in client.cat.indices(index=index, v=True, h="index,docs.count").body


def test_single_documents(client, index):
    name = index.replace("-default", "-single")
    created = client.index(index=name, id="mine", document={"message": "one document"}, refresh="wait_for")
    assert created["result"] == "created" and created["_id"] == "mine"
    assert client.get(index=name, id="mine")["_source"] == {"message": "one document"}
    with pytest.raises(NotFoundError):
        client.get(index=name, id="other")
    client.indices.delete(index=name)
    with pytest.raises(NotFoundError):
        client.count(index=name)


def test_one_bad_document_does_not_hurt_the_others(client, index):
    lines = [{"create": {}}, {"message": "fine"}, {"delete": {"_id": "x"}}, {"create": {"_index": "Not A Name"}}, {"a": 1}]
    answer = client.bulk(index=index.replace("-default", "-mixed"), operations=lines, refresh=True)
    assert answer["errors"]
    statuses = [next(iter(item.values()))["status"] for item in answer["items"]]
    assert statuses == [201, 404, 400]


def test_errors_have_type_and_reason(client, index):
    with pytest.raises(BadRequestError, match="no_such_query"):
        client.search(index=index, query={"no_such_query": {}})
    with pytest.raises(NotFoundError, match="index_not_found_exception"):
        client.search(index="logs-missing-default")
    with pytest.raises(BadRequestError, match="Result window"):
        client.search(index=index, from_=10_000, size=1)
    with pytest.raises(BadRequestError, match="Fielddata"):
        client.search(index=index, aggs={"a": {"terms": {"field": "message"}}})
    with pytest.raises(ApiError):
        client.perform_request("GET", "/_no_such_endpoint/at/all")


def test_scan_helper_finds_every_document(client, index):
    assert sorted(hit["_source"]["n"] for hit in helpers.scan(client, index=index, size=77)) == list(range(300))
