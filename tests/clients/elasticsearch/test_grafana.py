"""What Grafana's Elasticsearch data source asks: its first look at the engine, its list of fields, and a file in
`grafana/` for each kind of panel, written from the shapes that its documentation and its own query builder use.

`expect` is compared member by member; a key of several parts (`buckets.0`) is a place further in, and `lengths` counts.
"""

import json
from pathlib import Path

import pytest
import requests

HERE = Path(__file__).parent / "grafana"
INDEX = "logs-grafana-default"


@pytest.fixture(scope="module")
def index(es_url):
    """An hour, an event every ten seconds."""
    lines = []
    for n in range(360):
        event = {"@timestamp": 1_767_225_600_000 + n * 10_000, "message": f"order {n} of shop-{n % 3} answered", "n": n, "took": n / 2,
                 "service": {"name": f"shop-{n % 3}"}, "log": {"level": "error" if n % 3 == 0 else "info"}}
        lines += [{"create": {"_index": INDEX, "_id": str(n)}}, event]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answer = requests.post(f"{es_url}/_bulk?refresh=wait_for", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
    assert answer.ok and not answer.json()["errors"], answer.text[:500]
    return INDEX


def at(value, place):
    for part in place.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def compare(expected, found, place=""):
    if isinstance(expected, dict):
        if expected == {"$any": True}:
            return
        for key, inner in expected.items():
            if key == "lengths":
                for where, count in inner.items():
                    assert len(at(found, where)) == count, f"{where}: {len(at(found, where))} instead of {count}"
            else:
                try:
                    deeper = found[key] if isinstance(found, dict) and key in found else at(found, key)
                except (KeyError, IndexError, TypeError):
                    raise AssertionError(f"{place}.{key} is missing in {json.dumps(found)[:400]}") from None
                compare(inner, deeper, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(expected) == len(found), f"{place}: {found}"
        for number, (one, other) in enumerate(zip(expected, found)):
            compare(one, other, f"{place}.{number}")
    else:
        assert found == expected, f"{place}: {found!r} instead of {expected!r}"


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.json")))
def test_panel(es_url, index, name):
    recorded = json.loads((HERE / f"{name}.json").read_text())
    head = {"search_type": "query_then_fetch", "ignore_unavailable": True, "index": index}
    body = json.dumps(head) + "\n" + json.dumps(recorded["request"]) + "\n"
    answer = requests.post(f"{es_url}/_msearch?max_concurrent_shard_requests=5", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
    assert answer.status_code == 200, answer.text
    response = answer.json()["responses"][0]
    assert response.get("status", 200) == 200, response
    compare(recorded["expect"], response)


def test_health_and_fields(es_url, index):
    assert requests.get(f"{es_url}/", timeout=10).json()["version"]["number"] >= "7.16"
    assert requests.get(f"{es_url}/_cluster/health?wait_for_status=yellow", timeout=10).json()["status"] in ("green", "yellow")
    mapping = requests.get(f"{es_url}/{index}/_mapping", timeout=10).json()[index]["mappings"]["properties"]
    assert mapping["@timestamp"]["type"] == "date" and mapping["service"]["properties"]["name"]["type"] == "keyword"
    caps = requests.get(f"{es_url}/{index}/_field_caps?fields=*", timeout=10).json()["fields"]
    assert caps["took"]["double"]["aggregatable"]
