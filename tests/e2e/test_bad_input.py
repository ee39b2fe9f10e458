"""Bad input everywhere: a clear error, nothing lost, bounded memory, and the program lives."""

import gzip
import json
import os
import socket
import struct

import pytest
import requests

from harness import LINE_ID, start_without_inputs, wait_for

MEMORY_GROWTH_MAX = 300 << 20


def text_of(process):
    return process.stdout + process.stderr


def test_an_unknown_key_names_file_line_and_nearest_key(logmill):
    (logmill.folder / "logmill.yml").write_text("bus:\n  lisen: 127.0.0.1:0\nindexr: {}\n")
    checked = logmill.run("check")
    assert checked.returncode == 2
    assert "logmill.yml:2:3: bus.lisen: unknown key `lisen`; did you mean `listen`?" in text_of(checked)
    assert "logmill.yml:3:1: indexr: unknown key `indexr`; did you mean `indexer`?" in text_of(checked)


def test_a_listener_does_not_leave_loopback_unasked(logmill):
    logmill.settings["bus.listen"] = "0.0.0.0:0"
    refused = logmill.run("bus")
    assert refused.returncode == 1 and "insecure: true" in text_of(refused)


def test_a_broken_pipeline_says_where(logmill):
    pipeline = logmill.folder / "bad.yml"
    pipeline.write_text("id: bad\nsteps:\n- grokk: {field: message, patterns: ['%{WORD:a}']}\n- grok: {field: message, patterns: ['%{NOSUCH:a}']}\n")
    (logmill.folder / "logmill.yml").write_text(f"processor:\n  pipelines: ['{pipeline}']\n")
    checked = logmill.run("check")
    assert checked.returncode != 0
    assert "bad.yml:3" in text_of(checked) and "did you mean `grok`" in text_of(checked)
    pipeline.write_text("id: bad\nsteps:\n- grok: {field: message, patterns: ['%{NOSUCH:a}']}\n")
    checked = logmill.run("check")
    assert checked.returncode != 0 and "NOSUCH" in text_of(checked) and "bad.yml:3" in text_of(checked)


def test_a_running_processor_keeps_its_pipeline_when_the_new_one_is_broken(logmill):
    pipeline = logmill.folder / "main.yml"
    good = "id: main\nsteps:\n- set: {field: labels.by, value: first}\n"
    pipeline.write_text(good)
    logs = logmill.folder / "in"
    logs.mkdir()
    logmill.settings["shipper.inputs"] = [{"type": "filestream", "id": "in", "paths": [f"{logs}/*.log"]}]
    (logmill.folder / "logmill.yml").write_text(f"processor:\n  pipelines: ['{pipeline}']\n")
    logmill.start("up").wait_ready()

    def labelled(word, by):
        with open(logs / "a.log", "a") as file:
            file.write(f"{word}\n")
        query = {"bool": {"filter": [{"match": {"message": word}}, {"term": {"labels.by": by}}]}}
        wait_for(f"{word} labelled {by}", lambda: logmill.count(query) == 1)

    labelled("one", "first")
    pipeline.write_text("id: main\nsteps:\n- nonsense: {}\n")
    wait_for("the complaint", lambda: "nonsense" in logmill.log("up"))
    labelled("two", "first")
    pipeline.write_text(good.replace("first", "second"))
    wait_for("the new pipeline", lambda: try_label(logmill, logs), timeout=30, every=1)


def try_label(logmill, logs):
    with open(logs / "a.log", "a") as file:
        file.write("three\n")
    return logmill.count({"term": {"labels.by": "second"}}) > 0


def test_lines_that_are_not_utf8_and_lines_of_50_mb_lose_nothing(logmill):
    logs = logmill.folder / "in"
    logs.mkdir()
    logmill.settings["shipper.inputs"] = [{"type": "filestream", "id": "in", "paths": [f"{logs}/*.log"]}]
    logmill.start("up").wait_ready()
    before = logmill.rss_bytes("up")
    with open(logs / "a.log", "wb") as file:
        file.write(b"first lm0000000001\n")
        file.write(b"latin \xe9\xff\xfe lm0000000002 \x00 nul\n")
        words = b"".join(b"lm%010d " % number for number in range(10, 4_000_010))[: 50 << 20]
        file.write(words.rsplit(b" ", 1)[0] + b"\n")
        file.write(b"last lm0000000003\n")
    for word in ["lm0000000001", "lm0000000002", "lm0000000003"]:
        wait_for(word, lambda word=word: logmill.count({"match": {"message": word}}) == 1, timeout=90)
    expected = {word.decode() for word in words.rsplit(b" ", 1)[0].split()}

    def whole_line():
        stored, after = "", None
        while True:
            body = {"size": 2, "sort": [{"log.offset": "asc"}], "query": {"range": {"log.offset": {"gt": 0}}}}
            if after:
                body["search_after"] = after
            hits = logmill.search(body)["hits"]["hits"]
            if not hits:
                return stored
            stored += "".join(hit["_source"]["message"] for hit in hits)
            after = hits[-1]["sort"]

    found = wait_for("all parts of the long line", lambda: (ids := set(LINE_ID.findall(whole_line()))) >= expected and ids, timeout=90, every=2)
    assert expected <= found
    growth = logmill.rss_bytes("up") - before
    print(f"a 50 MB line: memory grew by {growth >> 20} MiB")
    assert growth < 3 * MEMORY_GROWTH_MAX


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    installation = start_without_inputs(tmp_path_factory.mktemp("victim"))
    yield installation
    installation.close()


@pytest.fixture(autouse=True)
def victim_lives(request):
    if "victim" not in request.fixturenames:
        yield
        return
    victim = request.getfixturevalue("victim")
    before = victim.rss_bytes("up")
    yield
    assert victim.processes["up"].poll() is None, victim.log("up")[-3000:]
    assert requests.get(f"{victim.dashboard_url}/healthz", timeout=10).status_code == 200
    assert victim.rss_bytes("up") - before < MEMORY_GROWTH_MAX
    assert "panicked" not in victim.log("up")


def send(victim, payload, wait=2):
    with socket.create_connection(("127.0.0.1", victim.bus_port), timeout=wait) as connection:
        connection.sendall(payload)
        connection.settimeout(wait)
        try:
            return connection.recv(1 << 16)
        except (TimeoutError, ConnectionResetError):
            return b""


def test_garbage_on_the_bus_port(victim):
    for seed in range(50):
        send(victim, os.urandom(200 + seed), wait=0.2)
    send(victim, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", wait=0.5)


def test_a_gigabyte_length_prefix_is_refused(victim):
    for _ in range(20):
        assert send(victim, struct.pack(">i", 1 << 30) + b"x" * 1000, wait=1) == b""
    send(victim, struct.pack(">i", -1), wait=0.5)


def test_array_counts_beyond_the_request_are_refused(victim):
    # Metadata version 0 whose array of topics claims two thousand million names.
    header = struct.pack(">hhih", 3, 0, 1, -1)
    body = struct.pack(">i", 0x7FFFFFFF)
    for _ in range(20):
        send(victim, struct.pack(">i", len(header + body)) + header + body, wait=0.3)


def test_malformed_json_to_search_and_bulk(victim):
    for path, body in [
        ("logs-*/_search", b'{"query": '), ("logs-*/_search", b"[]"), ("logs-*/_search", b'{"qery": {}}'),
        ("logs-*/_search", b'{"query": {"no_such_query": {}}}'), ("_bulk", b'{"index": \n{}\n'), ("_bulk", b"nonsense\n"),
        ("_bulk", b'{"create":{"_index":"logs-x-default"}}\nnot json\n'),
    ]:
        answer = requests.post(f"{victim.es_url}/{path}", data=body, headers={"content-type": "application/x-ndjson" if "bulk" in path else "application/json"}, timeout=10)
        told = answer.json()
        if answer.status_code == 200:
            assert told["errors"] is True, (path, body, told)
            assert all(item["create"]["error"]["reason"] for item in told["items"])
        else:
            assert answer.status_code == 400 and told["error"]["reason"] and told["error"]["root_cause"], (path, body, told)


def test_a_deep_query_and_a_deep_document_are_refused(victim):
    deep = '{"query":' + '{"bool":{"must":' * 5000 + '{"match_all":{}}' + "}}" * 5000 + "}"
    assert requests.post(f"{victim.es_url}/logs-*/_search", data=deep, headers={"content-type": "application/json"}, timeout=10).status_code == 400
    brackets = "[" * 200_000 + "]" * 200_000
    assert requests.post(f"{victim.es_url}/logs-*/_search", data=brackets, headers={"content-type": "application/json"}, timeout=10).status_code == 400
    text = "(" * 20_000 + "a" + ")" * 20_000
    body = {"query": {"query_string": {"query": text}}}
    assert requests.post(f"{victim.es_url}/logs-*/_search", json=body, timeout=10).status_code == 400


def test_a_zip_bomb_is_refused(victim):
    bomb = gzip.compress(b"0" * (400 << 20))
    answer = requests.post(
        f"{victim.es_url}/_bulk", data=bomb, headers={"content-type": "application/x-ndjson", "content-encoding": "gzip"}, timeout=60
    )
    assert answer.status_code in (400, 413)


def test_plain_records_that_are_no_events_are_kept(victim):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": victim.bootstrap})
    for value in [b"just text lm0000000011", b"\xff\xfe bytes lm0000000012", b"[1, 2]", b"", b'{"message": "ok lm0000000013"}']:
        producer.produce("logs.raw", value)
    assert producer.flush(20) == 0
    for word in ["lm0000000011", "lm0000000012", "lm0000000013"]:
        wait_for(word, lambda word=word: victim.count({"match": {"message": word}}) == 1)
    assert json.dumps(victim.search()["hits"]["hits"])


def test_fields_that_explode_cost_nothing_but_themselves(tmp_path):
    """A hundred thousand names of fields over two thousand documents, as an attacker or a value used as a name makes them."""
    installation = start_without_inputs(tmp_path)
    try:
        before, keys = installation.rss_bytes("up"), 100_000
        for first in range(0, keys, 5_000):
            lines = []
            for at in range(first, first + 5_000, 50):
                names = {f"k{key}": f"v{key}" for key in range(at, at + 50)}
                document = {"@timestamp": "2026-01-01T00:00:00Z", "message": "an exploding event", "attack": names}
                lines += [json.dumps({"index": {"_index": "explosion"}}), json.dumps(document)]
            headers, wait = {"Content-Type": "application/x-ndjson"}, {"refresh": str(first + 5_000 == keys).lower()}
            answer = requests.post(f"{installation.es_url}/_bulk", data="\n".join(lines) + "\n", headers=headers, params=wait, timeout=30)
            assert answer.status_code == 200 and not answer.json()["errors"], answer.text[:500]

        def total(query):
            return installation.search({"size": 0, "query": query}, "explosion")["hits"]["total"]["value"]

        assert total({"match": {"message": "exploding"}}) == total({"query_string": {"query": "exploding"}}) == keys // 50
        for key in (1, keys - 1):
            assert total({"term": {f"attack.k{key}": f"v{key}"}}) == total({"exists": {"field": f"attack.k{key}"}}) == 1
        aggregated = {"size": 0, "aggs": {"x": {"terms": {"field": f"attack.k{keys - 1}"}}}}
        refused = requests.post(f"{installation.es_url}/explosion/_search", json=aggregated, timeout=30)
        assert refused.status_code == 400 and "indexer.fields_max" in refused.text, refused.text
        told = requests.get(f"{installation.es_url}/explosion/_field_caps", params={"fields": "*"}, timeout=30).json()["fields"]
        assert len(told) <= 1_010
        metrics = requests.get(f"{installation.es_url}/metrics", timeout=30).text
        counted = int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("logmill_indexer_fields_refused_total ")))
        assert counted >= keys - 1_000
        assert installation.rss_bytes("up") - before < MEMORY_GROWTH_MAX
    finally:
        installation.close()


def test_queries_that_are_too_much_are_refused_in_words(tmp_path):
    installation = start_without_inputs(tmp_path)
    try:
        line = json.dumps({"index": {"_index": "patience"}}) + "\n" + json.dumps({"k": "a", "n": 1, "message": "quick fox"}) + "\n"
        requests.post(f"{installation.es_url}/_bulk?refresh=true", data=line, headers={"Content-Type": "application/x-ndjson"}, timeout=30)

        def deep(levels):
            query = {"term": {"k": "a"}}
            for _ in range(levels):
                query = {"bool": {"must": [query]}}
            return {"query": query}

        def script(text):
            metric = {"m": {"max": {"field": "n"}}, "b": {"bucket_script": {"buckets_path": {"m": "m"}, "script": text}}}
            return {"size": 0, "aggs": {"d": {"histogram": {"field": "n", "interval": 1}, "aggs": metric}}}

        served = [
            {"query": {"terms": {"k": ["a"] + [f"t{number}" for number in range(10_000)]}}},
            {"query": {"bool": {"should": [{"term": {"k": "a"}}] + [{"wildcard": {"k": f"*x{number}*"}} for number in range(1_000)]}}},
            deep(29),
            {"query": {"simple_query_string": {"query": "(" * 50_000 + "quick" + ")" * 50_000}}},
        ]
        for body in served:
            answer = requests.post(f"{installation.es_url}/patience/_search", json=body, timeout=30)
            assert answer.status_code == 200 and answer.json()["hits"]["total"]["value"] == 1, answer.text[:300]
        refused = [
            deep(100),
            {"query": {"terms": {"k": [f"t{number}" for number in range(70_000)]}}},
            {"query": {"bool": {"should": [{"term": {"k": "a"}}] * 5_000}}},
            {"query": {"regexp": {"k": "((a{1,1000}){1,1000}){1,1000}"}}},
            {"query": {"regexp": {"k": "(" * 30_000 + "a" + ")" * 30_000}}},
            {"query": {"query_string": {"query": "(" * 5_000 + "a" + ")" * 5_000}}},
            {"query": {"query_string": {"query": "NOT " * 5_000 + "a"}}},
            {"size": 0, "aggs": {"x": {"histogram": {"field": "n", "interval": 1e-308}}, "y": {"histogram": {"field": "n", "interval": 1, "extended_bounds": {"min": -1e300, "max": 1e300}}}}},
            script("(" * 2_000 + "params.m" + ")" * 2_000),
            script("-" * 4_000 + "params.m"),
        ]
        for body in refused:
            answer = requests.post(f"{installation.es_url}/patience/_search", json=body, timeout=30)
            assert answer.status_code == 400 and answer.json()["error"]["reason"], answer.text[:300]
        assert installation.processes["up"].poll() is None and "panicked" not in installation.log("up")
    finally:
        installation.close()
