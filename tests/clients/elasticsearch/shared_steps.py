"""What is asked of elasticsearch-py, whichever version: the same steps against 8 and 9."""

import sys
import time
import uuid

from elasticsearch import ApiError, BadRequestError, ConflictError, Elasticsearch, NotFoundError, helpers

COUNT = 250


def event(n):
    return {"@timestamp": f"2026-02-01T00:{n // 60:02}:{n % 60:02}Z", "message": f"payment {n} of customer-{n % 5} settled", "n": n,
            "log": {"level": ["info", "warn", "error"][n % 3]}, "took": n / 2}


def bulk(client, index):
    actions = ({"_op_type": "create", "_index": index, "_id": f"id-{n}", "_source": event(n)} for n in range(COUNT))
    assert helpers.bulk(client, actions, refresh="wait_for", chunk_size=100) == (COUNT, [])
    done = [ok for ok, _ in helpers.parallel_bulk(client, [{"_index": index, "_source": event(COUNT)}], thread_count=2)]
    assert done == [True]
    client.indices.refresh(index=index)
    assert client.count(index=index)["count"] == COUNT + 1


def search(client, index):
    found = client.search(index=index, query={"bool": {"must": [{"match": {"message": "customer"}}], "filter": [{"term": {"log.level": "error"}}]}},
                          sort=[{"n": "desc"}], size=2, track_total_hits=True)
    assert found["hits"]["total"] == {"value": 83, "relation": "eq"}
    assert [hit["_source"]["n"] for hit in found["hits"]["hits"]] == [248, 245]
    aggregations = client.search(index=index, size=0, aggs={
        "levels": {"terms": {"field": "log.level"}, "aggs": {"took": {"avg": {"field": "took"}}}},
        "minutes": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m"}},
    })["aggregations"]
    assert {bucket["key"]: bucket["doc_count"] for bucket in aggregations["levels"]["buckets"]} == {"info": 84, "warn": 84, "error": 83}
    assert [bucket["doc_count"] for bucket in aggregations["minutes"]["buckets"]] == [60, 60, 60, 60, 11]


def pages(client, index):
    assert sorted(hit["_source"]["n"] for hit in helpers.scan(client, index=index, size=60)) == list(range(COUNT + 1))
    pit = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    seen, after = [], None
    while True:
        page = client.search(size=70, sort=[{"n": "asc"}], pit={"id": pit, "keep_alive": "1m"}, search_after=after)["hits"]["hits"]
        if not page:
            break
        seen += [hit["_source"]["n"] for hit in page]
        after = page[-1]["sort"]
    assert seen == list(range(COUNT + 1))
    assert client.close_point_in_time(id=pit)["succeeded"]


def asynchronous(client, index):
    started = client.async_search.submit(index=index, size=0, aggs={"n": {"sum": {"field": "n"}}}, wait_for_completion_timeout="0ms", keep_on_completion=True)
    for _ in range(100):
        answer = client.async_search.get(id=started["id"])
        if not answer["is_running"]:
            break
        time.sleep(0.05)
    assert answer["response"]["aggregations"]["n"]["value"] == sum(range(COUNT + 1))
    client.async_search.delete(id=started["id"])


def deletes(client, index):
    assert client.delete_by_query(index=index, query={"range": {"n": {"lt": 10}}}, refresh=True)["deleted"] == 10
    assert client.count(index=index)["count"] == COUNT - 9


def templates(client, index):
    client.indices.put_index_template(name=f"t-{index}", index_patterns=[f"{index}-t*"], priority=500, template={"mappings": {"properties": {"code": {"type": "keyword"}}}})
    assert client.indices.exists_index_template(name=f"t-{index}")
    client.index(index=f"{index}-t1", document={"code": 7, "@timestamp": "2026-01-01T00:00:00Z"}, refresh="wait_for")
    assert client.indices.get_mapping(index=f"{index}-t1")[f"{index}-t1"]["mappings"]["properties"]["code"]["type"] == "keyword"
    client.indices.delete_index_template(name=f"t-{index}")


def errors(client, index):
    for call, kind in [
        (lambda: client.search(index=index, query={"nosuch": {}}), BadRequestError),
        (lambda: client.search(index=f"{index}-missing"), NotFoundError),
        (lambda: client.get(index=index, id="missing"), NotFoundError),
    ]:
        try:
            call()
        except kind as error:
            assert isinstance(error, ApiError) and error.meta.status in (400, 404)
        else:
            raise AssertionError(f"no {kind}")
    assert ConflictError


def machine(client, index):
    assert client.ping() and client.info()["tagline"] == "You Know, for Search"
    assert client.cluster.health(level="indices")["indices"][index]["number_of_shards"] == 1
    assert client.indices.stats(index=index)["indices"][index]["total"]["docs"]["count"] == COUNT - 9
    assert client.nodes.stats(metric="indices,os")["nodes"]
    assert index in client.cat.indices(index=index, h="index").body
    assert client.cat.count(index=index, format="json")[0]["count"] == str(COUNT - 9)
    assert client.indices.analyze(analyzer="standard", text="Over THERE")["tokens"][1]["token"] == "there"
    assert client.license.get()["license"]["status"] == "active"
    assert client.cluster.state(metric="metadata", index=index)["metadata"]["indices"][index]["state"] == "open"
    assert client.options(opaque_id="mine").info().meta.headers["x-opaque-id"] == "mine"
    assert client.indices.flush(index=index)["_shards"]["failed"] == 0


STEPS = [bulk, search, pages, asynchronous, deletes, errors, machine, templates]


def main(url):
    index = f"logs-py{uuid.uuid4().hex[:8]}-default"
    with Elasticsearch(url, request_timeout=60, http_compress=True) as client:
        for step in STEPS:
            step(client, index)
            print(step.__name__)


if __name__ == "__main__":
    main(sys.argv[1])
