"""Old events go and nothing else: by age and by size, on a full disk with `drop_oldest`, under lifecycle policies, and
while the indexer is killed in the midst of it."""

import json
import os
import random
import threading
import time

import pytest
import requests
from confluent_kafka import Producer

from harness import wait_for

TOPIC = "logs.parsed"
DAY_MS = 86_400_000
KILLS = int(os.environ.get("RETENTION_KILLS", "2"))
# Everything happens as often as it can: a flush, and with it a split, several times a second.
BUSY = {"indexer.flush_interval": "150ms", "indexer.refresh_interval": "30ms"}


def write(logmill, index, documents):
    """Writes (time in ms, number, padding) to the bus, all acknowledged."""
    producer = Producer({"bootstrap.servers": logmill.bootstrap, "enable.idempotence": True, "linger.ms": 5})
    for time_ms, number, padding in documents:
        value = json.dumps({"@timestamp": time_ms, "n": number, "message": f"document {number} {padding}"})
        while True:
            try:
                producer.produce(TOPIC, value, headers=[("logmill-index", index.encode())], partition=0)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def numbers_of(logmill, index):
    return sorted(source["n"] for source in logmill.all_sources(index))


def splits_of(logmill, index):
    shown = logmill.run("index", "show", index, "--json")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)["splits"]


def memory_docs(logmill):
    return json.loads(logmill.run("index", "show", "_all", "--json").stdout)["memory"]["docs"]


def start(logmill):
    logmill.start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).ok)


@pytest.mark.timeout(120)
def test_age_and_policies_delete_what_is_past_them(logmill):
    rules = [{"index": "logs-short*", "age": "2d"}]
    logmill.settings.update({**BUSY, "indexer.retention.age": "30d", "indexer.retention.indices": rules})
    logmill.start("bus")
    start(logmill)
    policy = {"policy": {"phases": {"delete": {"min_age": "5d", "actions": {"delete": {}}}}}}
    assert requests.put(f"{logmill.es_url}/_ilm/policy/five-days", json=policy, timeout=10).ok
    template = {"index_patterns": ["logs-policy*"], "template": {"settings": {"index.lifecycle.name": "five-days"}}}
    assert requests.put(f"{logmill.es_url}/_index_template/five-days", json=template, timeout=10).ok
    now = time.time_ns() // 1_000_000
    indexes = {"logs-short-a": [0, 1], "logs-policy-a": [0, 1, 3, 4], "logs-long-a": [0, 1, 3, 4, 6, 29]}
    # The number is the age in days; a split each, for they go as wholes.
    for age in (0, 1, 3, 4, 6, 29, 31, 40):
        lines = [line for index in indexes for line in ({"create": {"_index": index}}, {"@timestamp": now - age * DAY_MS, "n": age})]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        # Answered once all of it can be found.
        answer = requests.post(f"{logmill.es_url}/_bulk?refresh=true", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
        assert answer.ok and not answer.json()["errors"], answer.text
        wait_for("a flush", lambda: memory_docs(logmill) == 0)
    for index, left in indexes.items():
        wait_for(f"{index} to be cut", lambda index=index, left=left: numbers_of(logmill, index) == left, timeout=40)
    logmill.kill("indexer")
    start(logmill)
    for index, left in indexes.items():
        wait_for("the same after a crash", lambda index=index, left=left: numbers_of(logmill, index) == left)


@pytest.mark.timeout(180 + 15 * KILLS)
def test_killed_while_old_splits_go_by_size(logmill):
    """What is left is always the newest without a gap, and what went never comes back."""
    chance = random.Random(5)
    limit = 512 << 10
    logmill.settings.update({**BUSY, "indexer.retention.indices": [{"index": "logs-sized*", "bytes": "512KiB"}]})
    logmill.start("bus")
    start(logmill)
    began = time.time_ns() // 1_000_000 - DAY_MS
    written, ending = [0], threading.Event()

    def writer():
        while not ending.is_set():
            batch = [(began + number, number, "%0256x" % chance.getrandbits(1024)) for number in range(written[0], written[0] + 500)]
            write(logmill, "logs-sized-a", batch)
            written[0] += 500
            time.sleep(0.1)

    thread = threading.Thread(target=writer, daemon=True)
    thread.start()
    first = 0
    for _ in range(KILLS):
        # Retention looks every ten seconds after the start.
        time.sleep(10 + chance.random() * 2)
        logmill.kill("indexer")
        start(logmill)
        found = numbers_of(logmill, "logs-sized-a")
        if found:
            assert found[0] >= first, "deleted events came back"
            first = found[0]
    ending.set()
    thread.join(30)

    def settled():
        return logmill.count({"range": {"n": {"gte": written[0] - 1}}}, "logs-sized-*") == 1

    wait_for("the last document", settled, timeout=60)
    wait_for("the size", lambda: sum(split["bytes"] for split in splits_of(logmill, "logs-sized-a")) <= limit, timeout=40)
    found = numbers_of(logmill, "logs-sized-a")
    assert found == list(range(found[0], written[0])), "what is left has gaps or doubles"
    assert 0 < first <= found[0], "nothing was deleted"
    print(f"{written[0]} documents written, those from {found[0]} on are left")


@pytest.mark.timeout(240)
def test_drop_oldest_goes_on_when_the_disk_is_full(small_disk, logmill):
    """The newest events are there, whole; the oldest made room for them."""
    chance = random.Random(6)
    logmill.settings.update(
        {**BUSY, "indexer.disk_policy": "drop_oldest", "indexer.disk_reserve": "16MiB", "indexer.memory": "16MiB", "indexer.flush_bytes": "2MiB"}
    )
    logmill.start("bus")
    start(logmill)
    began = time.time_ns() // 1_000_000 - DAY_MS
    written = 0

    def first():
        oldest = logmill.search({"size": 1, "sort": [{"@timestamp": "asc"}]}, "logs-full-a")["hits"]["hits"]
        return oldest[0]["_source"]["n"] if oldest else 0

    wait_for("the index", lambda: write(logmill, "logs-full-a", [(began, 0, "")]) or logmill.count(index="logs-full-a") > 0)
    written = 1
    while first() == 0:
        batch = [(began + number, number, "%0512x" % chance.getrandbits(2048)) for number in range(written, written + 4000)]
        write(logmill, "logs-full-a", batch)
        written += 4000
        assert written < 400_000, "nothing ever made room"
    # It goes on: everything that comes is taken.
    write(logmill, "logs-full-a", [(began + number, number, "last") for number in range(written, written + 1000)])
    written += 1000
    wait_for("the last document", lambda: logmill.count({"range": {"n": {"gte": written - 1}}}, "logs-full-a") == 1, timeout=90)
    found = numbers_of(logmill, "logs-full-a")
    gaps = [(one, other) for one, other in zip(found, found[1:]) if other != one + 1]
    assert not gaps and found[-1] == written - 1, f"what is left, {found[0]} to {found[-1]} of {written}, has gaps or doubles: {gaps[:10]}"
    assert found[0] > 0
