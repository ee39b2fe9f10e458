"""How shippers begin: the requests that they are documented to send before and with their first events, and the checks
that they make on the answers. The programs themselves are not run here."""

import gzip
import json
import uuid

import pytest
import requests

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def name():
    return uuid.uuid4().hex[:8]


def lines(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


def test_filebeat(es_url, name):
    session = requests.Session()
    session.headers.update({"Accept": "application/json", "X-Elastic-Product-Origin": "observability"})
    first = session.get(es_url, timeout=10)
    assert first.headers["X-Elastic-Product"] == "Elasticsearch" and first.json()["version"]["number"].split(".")[0] == "8"
    license = session.get(f"{es_url}/_license", params={"human": "false"}, timeout=10).json()["license"]
    assert license["status"] == "active" and license["uid"] and license["type"] == "basic"
    template = f"filebeat-{name}"
    assert session.head(f"{es_url}/_index_template/{template}", timeout=10).status_code == 404
    body = {"index_patterns": [f"logs-{template}*"], "data_stream": {}, "priority": 150,
            "template": {"settings": {"index": {"number_of_shards": 1}}, "mappings": {"properties": {"message": {"type": "match_only_text"}, "@timestamp": {"type": "date"}}}}}
    put = session.put(f"{es_url}/_index_template/{template}", json=body, timeout=10)
    assert put.status_code == 200 and put.json()["acknowledged"], put.text
    assert session.put(f"{es_url}/_data_stream/logs-{template}", timeout=10).status_code == 200
    assert session.get(f"{es_url}/_ingest/pipeline/{template}-pipeline", timeout=10).status_code == 404
    events = lines({"create": {"_index": f"logs-{template}"}}, {"@timestamp": "2026-01-01T00:00:00.000Z", "message": "one"},
                   {"create": {"_index": f"logs-{template}", "_id": "x"}}, {"@timestamp": "2026-01-01T00:00:01.000Z", "message": "two"})
    answer = session.post(f"{es_url}/_bulk", params={"filter_path": "errors,items.*.error,items.*.status"},
                          data=gzip.compress(events.encode()), headers={**NDJSON, "Content-Encoding": "gzip"}, timeout=10)
    assert answer.json() == {"errors": False, "items": [{"create": {"status": 201}}, {"create": {"status": 201}}]}


def test_logstash(es_url, name):
    assert requests.head(es_url, timeout=10).status_code == 200
    assert requests.get(es_url, timeout=10).json()["version"]["build_flavor"] == "default"
    assert requests.get(f"{es_url}/_license", timeout=10).json()["license"]["status"] == "active"
    assert requests.get(f"{es_url}/_xpack", timeout=10).json()["license"]["status"] == "active"
    assert requests.head(f"{es_url}/_index_template/ecs-logstash-{name}", timeout=10).status_code == 404
    answer = requests.post(f"{es_url}/_bulk?filter_path=errors,items.*.error,items.*.status",
                           data=lines({"index": {"_index": f"logs-{name}-default", "_id": None, "routing": None}}, {"message": "one"}), headers=NDJSON, timeout=10)
    assert answer.status_code == 200 and answer.json()["errors"] is False


def test_fluent_bit(es_url, name):
    answer = requests.post(f"{es_url}/_bulk", data=lines({"create": {"_index": f"logs-{name}-default"}}, {"@timestamp": "2026-01-01T00:00:00.000Z", "log": "one"}),
                           headers=NDJSON, timeout=10)
    # It looks for these very characters.
    assert answer.status_code == 200 and '"errors":false,"items":[' in answer.text


def test_vector(es_url, name):
    health = requests.get(f"{es_url}/_cluster/health", timeout=10)
    assert health.status_code == 200
    version = requests.get(es_url, timeout=10).json()["version"]
    assert int(version["number"].split(".")[0]) >= 7
    answer = requests.post(f"{es_url}/_bulk", params={"timeout": "60s"}, headers={**NDJSON, "Content-Encoding": "gzip"}, timeout=10,
                           data=gzip.compress(lines({"create": {"_index": f"logs-{name}-default", "_type": "_doc"}}, {"message": "one"}).encode()))
    assert answer.status_code == 200 and '"errors":false' in answer.text


def test_opensearch_identity(logmill):
    from opensearchpy import OpenSearch

    from harness import wait_for

    logmill.settings["indexer.identity"] = "opensearch"
    logmill.start("bus").start("indexer")
    answer = wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=5))
    assert answer.json()["version"]["distribution"] == "opensearch" and answer.json()["version"]["number"].startswith("2.")
    assert "X-Elastic-Product" not in answer.headers
    assert OpenSearch(logmill.es_url).info()["version"]["distribution"] == "opensearch"
