"""Old splits on S3, by a server that we did not write (moto): they go there while the indexer is killed, are found
through a cleared cache, erased, aged out, kept in snapshots and restored from them; and the server may be away."""

import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from harness import free_ports, wait_for

DAY_MS = 86_400_000
DAYS, A_DAY = 8, 400
SETTINGS = {
    "indexer.flush_interval": "200ms",
    "indexer.refresh_interval": "30ms",
    "indexer.seal.grace": "0s",
    "indexer.erase_within": "2s",
    "indexer.cold.url": "s3://cold/below/here",
    "indexer.cold.after": "1h",
    "indexer.cold.cache_bytes": "16MiB",
    "indexer.s3.path_style_access": "true",
    "indexer.s3.access_key": "somebody",
    "indexer.s3.secret_key": "secret",
}


class Door(threading.Thread):
    """Lets connections through to a port, or refuses all of them."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.inside, self.open = free_ports(1)[0], port, threading.Event()
        self.passing, self.listener = set(), None
        self.open.set()
        self.listen()

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)

    def shut(self):
        self.open.clear()
        self.listener.close()
        for each in list(self.passing):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reopen(self):
        self.listen()
        self.open.set()

    def run(self):
        while True:
            self.open.wait()
            try:
                outer, _ = self.listener.accept()
                inner = socket.create_connection(("127.0.0.1", self.inside))
            except OSError:
                time.sleep(0.02)
                continue
            for one, other in [(outer, inner), (inner, outer)]:
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, source, target):
        self.passing.add(source)
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
        except OSError:
            pass
        finally:
            self.passing.discard(source)
            for each in (source, target):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class S3:
    """The server, and what is in its buckets."""

    def __init__(self, folder):
        port = free_ports(1)[0]
        with open(folder / "s3.log", "ab") as log:
            line = [sys.executable, "-m", "moto.server", "-p", str(port)]
            self.process = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)
        self.url = f"http://127.0.0.1:{port}"
        wait_for("the S3 server", lambda: requests.get(self.url, timeout=2).ok)
        for bucket in ["cold", "kept"]:
            requests.put(f"{self.url}/{bucket}", timeout=5).raise_for_status()
        self.door = Door(port)
        self.door.start()

    def keys(self, bucket):
        found, token = [], None
        while True:
            query = {"list-type": 2, **({"continuation-token": token} if token else {})}
            page = requests.get(f"{self.url}/{bucket}", params=query, timeout=10).text
            found += re.findall(r"<Key>([^<]+)</Key>", page)
            token = next(iter(re.findall(r"<NextContinuationToken>([^<]+)<", page)), None)
            if not token:
                return found

    def splits(self):
        """The cold splits that have objects, by id."""
        return {key.split("/")[3].split("-")[0] for key in self.keys("cold") if not key.endswith("/store")}


@pytest.fixture
def s3(tmp_path):
    server = S3(tmp_path)
    yield server
    server.process.kill()


def start(logmill):
    logmill.start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)


def fill(logmill, now_ms):
    """Some days of events, the newest some minutes old."""
    chance = random.Random(7)
    for day in range(DAYS):
        lines = []
        for number in range(day * A_DAY, (day + 1) * A_DAY):
            at = now_ms - (DAYS - day) * DAY_MS + (number % A_DAY) * 10_000
            noise = "%0200x" % chance.getrandbits(800)
            lines += ['{"create":{}}', '{"@timestamp":%d,"n":%d,"message":"event %s","host":{"name":"web-%d"}}' % (at, number, noise, number % 5)]
        answer = requests.post(f"{logmill.es_url}/logs-cold-x/_bulk?refresh=true", data="\n".join(lines) + "\n", headers={"content-type": "application/x-ndjson"}, timeout=30)
        assert not answer.json()["errors"], answer.text[:500]
        # A day is a split.
        requests.post(f"{logmill.es_url}/logs-cold-x/_flush", timeout=30).raise_for_status()


def inventory(logmill):
    return requests.get(f"{logmill.es_url}/_logmill/store", timeout=10).json()["splits"]


def all_cold(logmill):
    splits = inventory(logmill)
    return splits and all(split["place"] == "cold" for split in splits) and sum(split["docs"] for split in splits)


def numbers(logmill, index="logs-cold-x"):
    return sorted(source["n"] for source in logmill.all_sources(index))


def answers(logmill):
    """What the user sees: a page, a histogram, top values, a word."""
    bodies = [
        {"size": 30, "sort": [{"@timestamp": "desc"}]},
        {"size": 0, "aggs": {"t": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1h"}}}},
        {"size": 0, "aggs": {"h": {"terms": {"field": "host.name"}, "aggs": {"s": {"sum": {"field": "n"}}}}}},
        {"query": {"match": {"message": "event"}}, "size": 3, "sort": [{"n": "asc"}], "track_total_hits": True},
    ]
    found = [logmill.search(body, "logs-cold-x") for body in bodies]
    for one in found:
        del one["took"]
        assert one["_shards"]["failed"] == 0
    return found


def is_clean(logmill, s3):
    """The server has the cold splits and nothing else, and no folder is left of them."""
    cold = {split["split"] for split in inventory(logmill) if split["place"] == "cold"}
    local = {path.name for path in (logmill.data / "indexer/store/splits").iterdir()}
    return s3.splits() == cold and not cold & local


def go_cold_under_fire(logmill, s3):
    """Kills the indexer while it uploads: as soon as there are more objects than when it began."""
    kills = 0
    while kills < 4:
        before = len(s3.keys("cold"))
        start(logmill)
        try:
            wait_for("an upload", lambda: len(s3.keys("cold")) > before + kills * 3, timeout=4, every=0.01)
        except AssertionError:
            break
        logmill.kill("indexer")
        kills += 1
    if "indexer" not in logmill.processes:
        start(logmill)
    wait_for("all to be cold", lambda: all_cold(logmill) == DAYS * A_DAY, timeout=20)
    wait_for("what the killed ones left to go", lambda: is_clean(logmill, s3), timeout=10)
    return kills


def erase(logmill, s3):
    before = s3.splits()
    query = {"query": {"range": {"n": {"lt": 50}}}}
    answer = requests.post(f"{logmill.es_url}/logs-cold-x/_delete_by_query", json=query, timeout=30).json()
    assert answer["deleted"] == 50, answer
    assert logmill.count(query["query"], "logs-cold-x") == 0
    wait_for("the split to be written anew", lambda: len(before - s3.splits()) == 1 and is_clean(logmill, s3), timeout=15)
    wait_for("it to be cold again", lambda: all_cold(logmill) == DAYS * A_DAY - 50, timeout=10)
    assert len(s3.splits()) == len(before)


def while_it_is_away(logmill, s3):
    s3.door.shut()
    # Nothing of this may be in the cache.
    logmill.kill("indexer")
    (logmill.data / "indexer/store/cold/cache").unlink()
    start(logmill)
    refused = requests.post(f"{logmill.es_url}/logs-cold-x/_search", json={"query": {"match": {"message": "event"}}}, timeout=30)
    assert refused.status_code == 503, refused.text
    assert refused.json()["error"]["type"] == "search_phase_execution_exception"
    new = '{"create":{}}\n{"@timestamp":%d,"n":99999,"message":"event now"}\n' % int(time.time() * 1000)
    written = requests.post(f"{logmill.es_url}/logs-cold-x/_bulk?refresh=true", data=new, headers={"content-type": "application/x-ndjson"}, timeout=10)
    assert not written.json()["errors"]
    found = logmill.search({"query": {"match": {"message": "event"}}, "track_total_hits": True}, "logs-cold-x")
    assert found["_shards"]["failed"] == 1 and found["_shards"]["failures"][0]["index"] == "logs-cold-x"
    assert [hit["_source"]["n"] for hit in found["hits"]["hits"]] == [99999]
    # So do what a search asks for besides, words, groups and names, and what is no search.
    wildcard = {"wildcard": {"message": {"value": "ev*", "_name": "any"}}}
    for body in [{"query": wildcard}, {"query": {"match_all": {}}, "collapse": {"field": "n", "inner_hits": {"name": "group"}}}]:
        found = logmill.search(body, "logs-cold-x")
        assert found["_shards"]["failed"] == 1 and [hit["_source"]["n"] for hit in found["hits"]["hits"]] == [99999], found
    unexplained = requests.post(f"{logmill.es_url}/logs-cold-x/_explain/none", json={"query": {"match_all": {}}}, timeout=30)
    assert unexplained.status_code == 503, unexplained.text
    s3.door.reopen()
    wait_for("it to be found again", lambda: len(numbers(logmill)) == DAYS * A_DAY - 49, timeout=15)


def keep_and_restore(logmill, s3):
    url = f"{logmill.es_url}/_snapshot"
    settings = {"bucket": "kept", "base_path": "some/where"}
    nowhere = requests.put(f"{url}/none", json={"type": "s3", "settings": {"bucket": "missing"}}, timeout=30)
    assert (nowhere.status_code, nowhere.json()["error"]["type"]) == (500, "repository_verification_exception")
    elsewhere = {"type": "s3", "settings": {**settings, "endpoint": "http://169.254.169.254"}}
    assert requests.put(f"{url}/none", json=elsewhere, timeout=30).status_code == 400
    unknown = {"type": "s3", "settings": {**settings, "access_key": "mine"}}
    assert requests.put(f"{url}/none", json=unknown, timeout=30).status_code == 400
    assert requests.put(f"{url}/far", json={"type": "s3", "settings": settings}, timeout=30).json() == {"acknowledged": True}
    assert requests.get(f"{url}/far", timeout=30).json() == {"far": {"type": "s3", "settings": settings}}
    expected = numbers(logmill)
    made = requests.put(f"{url}/far/one?wait_for_completion=true", json={"indices": "logs-cold-x"}, timeout=60).json()
    assert made["snapshot"]["state"] == "SUCCESS", made
    first = s3.keys("kept")
    assert "some/where/snapshots/one" in first
    again = requests.put(f"{url}/far/one?wait_for_completion=true", timeout=60)
    assert (again.status_code, again.json()["error"]["type"]) == (400, "invalid_snapshot_name_exception")
    requests.put(f"{url}/far/two?wait_for_completion=true", json={"indices": "logs-cold-x"}, timeout=60).raise_for_status()
    assert set(s3.keys("kept")) - set(first) == {"some/where/snapshots/two"}, "files are written once"
    assert requests.delete(f"{url}/far/one", timeout=30).ok
    assert set(s3.keys("kept")) == set(first) - {"some/where/snapshots/one"} | {"some/where/snapshots/two"}
    requests.delete(f"{logmill.es_url}/logs-cold-x", timeout=30).raise_for_status()
    wait_for("the cold splits to go with their index", lambda: not s3.splits(), timeout=10)
    restored = requests.post(f"{url}/far/two/_restore?wait_for_completion=true", json={"indices": "logs-cold-x"}, timeout=60)
    restored.raise_for_status()
    assert numbers(logmill) == expected
    wait_for("what was restored to be cold", lambda: len(s3.splits()) == DAYS - 2 and is_clean(logmill, s3), timeout=15)
    assert numbers(logmill) == expected
    assert requests.delete(f"{url}/far/two", timeout=30).ok
    assert s3.keys("kept") == []


@pytest.mark.timeout(120)
def test_old_splits_live_on_s3(logmill, s3):
    logmill.settings.update(SETTINGS, **{"indexer.s3.endpoint": f"http://127.0.0.1:{s3.door.port}"})
    now_ms = int(time.time() * 1000)
    # Nothing goes cold yet: what is there is what the disk alone would answer.
    del logmill.settings["indexer.cold.after"]
    logmill.start("bus")
    start(logmill)
    fill(logmill, now_ms)
    expected = answers(logmill)
    assert logmill.stop("indexer") == 0
    logmill.settings["indexer.cold.after"] = SETTINGS["indexer.cold.after"]
    assert go_cold_under_fire(logmill, s3) >= 2
    assert answers(logmill) == expected
    assert logmill.stop("indexer") == 0
    shutil.rmtree(logmill.data / "indexer/store/cold")
    start(logmill)
    assert answers(logmill) == expected
    verified = requests.post(f"{logmill.es_url}/_logmill/verify", timeout=30).json()
    assert (verified["checked"], verified["damaged"]) == (DAYS, [])
    erase(logmill, s3)
    while_it_is_away(logmill, s3)
    # The two oldest days are over.
    assert logmill.stop("indexer") == 0
    logmill.settings["indexer.retention.age"] = f"{(DAYS - 2) * 24 + 12}h"
    start(logmill)
    wait_for("the oldest to go", lambda: len(numbers(logmill)) == (DAYS - 2) * A_DAY + 1 and is_clean(logmill, s3), timeout=20)
    keep_and_restore(logmill, s3)
    assert logmill.stop("indexer") == 0, logmill.log("indexer")[-3000:]
