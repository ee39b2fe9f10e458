"""kill -9 of `logmill indexer` at random instants of ingest, flush, merge, deletion and snapshots, INDEX_KILLS times (6 unless
told): every record of the bus is found exactly once, except those of deletions that were answered, which never come back;
and a snapshot that is there holds what there was when it was asked for."""

import logging
import os
import random
import threading
import time

import pytest
import requests
from confluent_kafka import Producer

from harness import BINARY, wait_for

KILLS = int(os.environ.get("INDEX_KILLS", "6"))
RATE = int(os.environ.get("INDEX_KILLS_RATE", "3000"))
TOPIC = "logs.parsed"
# The bus ends before the writers do, and that it is away is then no news.
QUIET = logging.getLogger("librdkafka, quietly")
QUIET.setLevel(logging.CRITICAL)
# Documents of one deletion; deletions never overlap, so what each of them was to take is known.
ERASED_AT_ONCE = 50
# Everything happens as often as it can: a flush, and with it a split, several times a second.
BUSY = {"indexer.flush_interval": "150ms", "indexer.refresh_interval": "30ms", "indexer.erase_within": "2s"}


class Writer(threading.Thread):
    """Writes documents with rising numbers to the bus, in two indexes."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.written, self.ending = 0, threading.Event()
        self.unacknowledged, self.lock = set(), threading.Lock()
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "logger": QUIET})

    def run(self):
        while not self.ending.is_set():
            for _ in range(RATE // 50):
                number = self.written
                value = '{"@timestamp":%d,"message":"document %d of many","n":%d}' % (1_767_225_600_000 + number, number, number)
                headers = [("logmill-index", b"logs-kill-%d" % (number % 2))]
                with self.lock:
                    self.unacknowledged.add(number)
                    self.written += 1
                self.producer.produce(TOPIC, value, headers=headers, on_delivery=lambda error, _, number=number: self.settle(error, number))
            self.producer.poll(0.02)
        assert self.producer.flush(60) == 0

    def settle(self, error, number):
        if not error:
            with self.lock:
                self.unacknowledged.discard(number)

    def acknowledged(self):
        """All numbers below are on the bus."""
        with self.lock:
            return min(self.unacknowledged, default=self.written)


class Eraser(threading.Thread):
    """Deletes documents by query while the indexer lives and dies."""

    def __init__(self, logmill, writer, chance):
        super().__init__(daemon=True)
        self.logmill, self.writer, self.chance = logmill, writer, chance
        self.ending, self.from_number = threading.Event(), 0
        # Numbers that must be gone, and those of which nobody can tell.
        self.gone, self.in_doubt = set(), set()

    def run(self):
        while not self.ending.is_set():
            first = self.from_number + self.chance.randrange(200)
            numbers = range(first, first + ERASED_AT_ONCE)
            if numbers.stop > self.writer.written - 100:
                time.sleep(0.1)
                continue
            query = {"range": {"n": {"gte": numbers.start, "lt": numbers.stop}}}
            self.from_number = numbers.stop
            try:
                wait_for("documents to delete", lambda: self.logmill.count(query) == ERASED_AT_ONCE, timeout=5)
                answer = requests.post(f"{self.logmill.es_url}/logs-kill-*/_delete_by_query", json={"query": query}, timeout=30)
                answer.raise_for_status()
                if answer.json()["deleted"] != ERASED_AT_ONCE:
                    raise AssertionError(answer.text)
                self.gone.update(numbers)
            except (requests.RequestException, AssertionError):
                self.in_doubt.update(numbers)


class Keeper(threading.Thread):
    """Makes snapshots and deletes old ones while the indexer lives and dies."""

    KEPT = 3

    def __init__(self, logmill, writer, eraser):
        super().__init__(daemon=True)
        self.logmill, self.writer, self.eraser = logmill, writer, eraser
        self.ending, self.url = threading.Event(), f"{logmill.es_url}/_snapshot/keep"
        # By name: all numbers below were to be found when it was asked for, those were gone.
        self.asked, self.made = {}, 0

    def run(self):
        while not self.ending.is_set():
            name = f"at-{len(self.asked):06}"
            try:
                requests.put(self.url, json={"type": "fs", "settings": {"location": "keep"}}, timeout=10).raise_for_status()
                below, gone = self.writer.acknowledged(), set(self.eraser.gone)
                # A snapshot holds what could be found when it was asked for.
                wait_for("what is on the bus", lambda below=below: not self.missing(below), timeout=10)
                self.asked[name] = (below, gone)
                requests.put(f"{self.url}/{name}?wait_for_completion=true", timeout=60).raise_for_status()
                self.made += 1
                for old in self.names()[: -self.KEPT]:
                    requests.delete(f"{self.url}/{old}", timeout=30).raise_for_status()
            except (requests.RequestException, AssertionError):
                time.sleep(0.1)

    def missing(self, below):
        """Of the last numbers below one, those that are not found, though nobody erases them."""
        first = max(0, below - 9000)
        body = {"size": 9000, "query": {"range": {"n": {"gte": first, "lt": below}}}, "_source": ["n"]}
        being_erased = self.eraser.from_number
        found = {hit["_source"]["n"] for hit in self.logmill.search(body, "logs-kill-*")["hits"]["hits"]}
        erased = self.eraser.gone | self.eraser.in_doubt | set(range(being_erased - ERASED_AT_ONCE, self.eraser.from_number))
        return set(range(first, below)) - found - erased

    def names(self):
        answer = requests.get(f"{self.url}/_all", timeout=30)
        answer.raise_for_status()
        return sorted(each["snapshot"] for each in answer.json()["snapshots"])

    def check(self):
        """Restores what there is; gives how many."""
        names = self.names()
        for name in names:
            below, gone = self.asked[name]
            wanted = {"indices": "logs-kill-*", "rename_pattern": "(.+)", "rename_replacement": f"{name}-$1"}
            answer = requests.post(f"{self.url}/{name}/_restore?wait_for_completion=true", json=wanted, timeout=120)
            assert answer.ok, answer.text
            found = numbers_of(self.logmill, f"{name}-*")
            seen = set(found)
            assert len(seen) == len(found), f"{name}: {len(found) - len(seen)} documents twice"
            assert not seen & gone, f"{name} holds {len(seen & gone)} documents that were erased before"
            lost = set(range(below)) - seen - self.eraser.gone - self.eraser.in_doubt
            assert not lost, f"{name} lacks {len(lost)} of {below} documents, the first {sorted(lost)[:5]}"
            # One that was made before the first document holds no index.
            restored = answer.json()["snapshot"]["indices"]
            assert restored or below == 0, answer.text
            for index in restored:
                assert requests.delete(f"{self.logmill.es_url}/{index}", timeout=30).ok
        return len(names)


def numbers_of(logmill, index="logs-kill-*"):
    return [source["n"] for source in logmill.all_sources(index)]


def settled(logmill, written, timeout=120):
    """Waits until everything on the bus is searchable: until the last document that was written is."""

    def caught_up():
        fresh = requests.get(f"{logmill.es_url}/_logmill/freshness", timeout=5).json()
        # What is behind is known as of the last look at the bus; the last of each index tells the rest.
        last = {"range": {"n": {"gte": written - 2}}}
        return fresh["behind"] == 0 and logmill.count(last, "logs-kill-*") == 2

    wait_for("the index to catch up", caught_up, timeout=timeout)


def check(logmill, writer, eraser):
    found = numbers_of(logmill)
    seen = set(found)
    assert len(seen) == len(found), f"{len(found) - len(seen)} documents twice"
    back = sorted(seen & eraser.gone)
    assert not back, f"{len(back)} erased documents came back, the first {back[:5]}"
    lost = sorted(set(range(writer.written)) - seen - eraser.gone - eraser.in_doubt)
    assert not lost, f"{len(lost)} of {writer.written} documents are lost, the first {lost[:5]}"
    assert max(seen) < writer.written
    return len(found)


@pytest.mark.timeout(300 + 8 * KILLS)
def test_every_document_once_and_the_erased_ones_never(logmill):
    chance = random.Random(int(os.environ.get("INDEX_KILLS_SEED", "1")))
    logmill.settings.update({**BUSY, "indexer.snapshots.paths": [str(logmill.folder / "kept")]})
    logmill.start("bus").start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    writer = Writer(logmill.bootstrap)
    eraser = Eraser(logmill, writer, random.Random(chance.random()))
    keeper = Keeper(logmill, writer, eraser)
    for thread in (writer, eraser, keeper):
        thread.start()
    began = time.monotonic()
    for _ in range(KILLS):
        # From the midst of its start to some seconds of full load.
        time.sleep(0.05 + chance.random() ** 2 * 4)
        logmill.kill("indexer")
        logmill.start("indexer")
    time.sleep(2)
    for thread in (keeper, eraser, writer):
        thread.ending.set()
        thread.join(90)
        assert not thread.is_alive()
    settled(logmill, writer.written)
    found = check(logmill, writer, eraser)
    # Once more from what is on the disk alone.
    logmill.kill("indexer")
    logmill.start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    settled(logmill, writer.written)
    assert check(logmill, writer, eraser) == found
    assert eraser.gone, "nothing was erased"
    assert keeper.check() > 0 and keeper.made > 0, "no snapshot was made"
    assert logmill.stop("indexer") == 0, logmill.log("indexer")[-3000:]
    print(
        f"{KILLS} kills in {time.monotonic() - began:.0f} s; {writer.written} documents written, {found} found once; "
        f"{len(eraser.gone)} erased for good, {len(eraser.in_doubt)} in doubt; {keeper.made} snapshots made of {len(keeper.asked)} asked for"
    )


PLACES = [
    "ingest.before_publish:9",
    "flush.before_manifest:3",
    "flush.after_manifest:3",
    "merge.before_write:1",
    "merge.before_manifest:1",
    "merge.after_manifest:1",
    "erase.before_settle:2",
    "snapshot.between_splits:3",
    "snapshot.before_description:2",
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at(logmill, place):
    """Only debug programs die where they are told to; the release program has no such places."""
    if b"LOGMILL_FAILPOINT" not in BINARY.read_bytes():
        pytest.skip("the program has no places to die at: it is no debug build")
    logmill.settings.update({**BUSY, "indexer.snapshots.paths": [str(logmill.folder / "kept")]})
    logmill.start("bus")
    os.environ["LOGMILL_FAILPOINT"] = place
    try:
        logmill.start("indexer")
    finally:
        del os.environ["LOGMILL_FAILPOINT"]
    writer = Writer(logmill.bootstrap)
    eraser = Eraser(logmill, writer, random.Random(1))
    keeper = Keeper(logmill, writer, eraser)
    for thread in (writer, eraser, keeper):
        thread.start()
    wait_for("the crash", lambda: logmill.processes["indexer"].poll() is not None, timeout=60)
    logmill.processes.pop("indexer")
    logmill.start("indexer")
    time.sleep(2)
    for thread in (keeper, eraser, writer):
        thread.ending.set()
        thread.join(90)
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    settled(logmill, writer.written)
    assert check(logmill, writer, eraser) > 0
    assert keeper.check() > 0
