"""kill -9 of `logmill indexer` at random instants of ingest, flush, merge and deletion, INDEX_KILLS times (6 unless told):
every record of the bus is found exactly once, except those of deletions that were answered, which never come back."""

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
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "logger": QUIET})

    def run(self):
        while not self.ending.is_set():
            for _ in range(RATE // 50):
                number = self.written
                value = '{"@timestamp":%d,"message":"document %d of many","n":%d}' % (1_767_225_600_000 + number, number, number)
                headers = [("logmill-index", b"logs-kill-%d" % (number % 2))]
                self.producer.produce(TOPIC, value, headers=headers)
                self.written += 1
            self.producer.poll(0.02)
        assert self.producer.flush(60) == 0


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
    logmill.settings.update(BUSY)
    logmill.start("bus").start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    writer = Writer(logmill.bootstrap)
    eraser = Eraser(logmill, writer, random.Random(chance.random()))
    writer.start()
    eraser.start()
    began = time.monotonic()
    for _ in range(KILLS):
        # From the midst of its start to some seconds of full load.
        time.sleep(0.05 + chance.random() ** 2 * 4)
        logmill.kill("indexer")
        logmill.start("indexer")
    time.sleep(2)
    eraser.ending.set()
    eraser.join(60)
    writer.ending.set()
    writer.join(90)
    assert not eraser.is_alive() and not writer.is_alive()
    settled(logmill, writer.written)
    found = check(logmill, writer, eraser)
    # Once more from what is on the disk alone.
    logmill.kill("indexer")
    logmill.start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    settled(logmill, writer.written)
    assert check(logmill, writer, eraser) == found
    assert eraser.gone, "nothing was erased"
    assert logmill.stop("indexer") == 0, logmill.log("indexer")[-3000:]
    print(
        f"{KILLS} kills in {time.monotonic() - began:.0f} s; {writer.written} documents written, {found} found once; "
        f"{len(eraser.gone)} erased for good, {len(eraser.in_doubt)} in doubt"
    )


PLACES = [
    "ingest.before_publish:9",
    "flush.before_manifest:3",
    "flush.after_manifest:3",
    "merge.before_write:1",
    "merge.before_manifest:1",
    "merge.after_manifest:1",
    "erase.before_settle:2",
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at(logmill, place):
    """Only debug programs die where they are told to; the release program has no such places."""
    if b"LOGMILL_FAILPOINT" not in BINARY.read_bytes():
        pytest.skip("the program has no places to die at: it is no debug build")
    logmill.settings.update(BUSY)
    logmill.start("bus")
    os.environ["LOGMILL_FAILPOINT"] = place
    try:
        logmill.start("indexer")
    finally:
        del os.environ["LOGMILL_FAILPOINT"]
    writer = Writer(logmill.bootstrap)
    eraser = Eraser(logmill, writer, random.Random(1))
    writer.start()
    eraser.start()
    wait_for("the crash", lambda: logmill.processes["indexer"].poll() is not None, timeout=60)
    logmill.processes.pop("indexer")
    logmill.start("indexer")
    time.sleep(2)
    for thread in (eraser, writer):
        thread.ending.set()
        thread.join(90)
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    settled(logmill, writer.written)
    assert check(logmill, writer, eraser) > 0
