"""The broker is killed again and again while real clients write, read and commit: nothing acknowledged is lost,
nothing that an idempotent producer retried is doubled, and no commit is forgotten."""

import logging
import random
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "crash"
PARTITIONS = 4
# That the broker is away is what this is about.
QUIET = logging.getLogger("librdkafka, quietly")
QUIET.setLevel(logging.CRITICAL)


class Writer(threading.Thread):
    """Writes numbers, each under a key, until it is told to stop; remembers which were acknowledged."""

    def __init__(self, bootstrap):
        super().__init__()
        settings = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 5,
            "message.timeout.ms": 120_000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "error_cb": lambda error: None,
            "logger": QUIET,
        }
        self.producer = Producer(settings)
        self.acknowledged, self.failed, self.written = set(), [], 0
        self.ending = threading.Event()

    def run(self):
        def told(number):
            def done(error, _):
                self.failed.append((number, error)) if error else self.acknowledged.add(number)

            return done

        while not self.ending.is_set():
            for _ in range(50):
                key = str(self.written % 16)
                self.producer.produce(TOPIC, str(self.written), key=key, on_delivery=told(self.written))
                self.written += 1
            self.producer.poll(0.01)
        assert self.producer.flush(120) == 0

    def end(self):
        self.ending.set()
        self.join(130)


def reader(bootstrap, group):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "error_cb": lambda error: None,
            "logger": QUIET,
        }
    )


def ends(client):
    return {p: client.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=20)[1] for p in range(PARTITIONS)}


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_loses_and_doubles_nothing(logmill, seed):
    chance = random.Random(seed)
    logmill.start("bus")
    admin = AdminClient({"bootstrap.servers": logmill.bootstrap})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS)])[TOPIC].result(30)
    cluster = admin.list_topics(timeout=20).cluster_id
    writer = Writer(logmill.bootstrap)
    writer.start()
    group, committed, seen = reader(logmill.bootstrap, "g"), {}, []
    group.subscribe([TOPIC])
    next_kill = time.monotonic() + 1.5
    for kills in range(8):
        while time.monotonic() < next_kill:
            messages = group.consume(200, timeout=0.1)
            seen += [(m.partition(), m.offset()) for m in messages if m.error() is None]
            try:
                for place in group.commit(asynchronous=False) if messages else []:
                    if place.error is None:
                        before = committed.get(place.partition, 0)
                        assert place.offset >= before, "a commit went back"
                        committed[place.partition] = place.offset
            except Exception:  # noqa: BLE001 - the broker is away; what was read is read again or committed later
                pass
        logmill.kill("bus")
        time.sleep(chance.random() * 0.3)
        logmill.start("bus")
        next_kill = time.monotonic() + 0.7 + chance.random() * 1.5
    writer.end()
    group.close()
    assert not writer.failed, writer.failed[:3]
    assert writer.acknowledged == set(range(writer.written))

    check = reader(logmill.bootstrap, "check")
    high = ends(check)
    check.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    found = {p: [] for p in range(PARTITIONS)}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(len(found[p]) < high[p] for p in found):
        for message in check.consume(1000, timeout=0.5):
            assert message.error() is None
            found[message.partition()].append((message.offset(), int(message.value())))
    numbers = [number for records in found.values() for _, number in records]
    assert len(numbers) == len(set(numbers)), "doubled"
    assert set(numbers) == writer.acknowledged, "lost or invented"
    for partition, records in found.items():
        assert [offset for offset, _ in records] == list(range(len(records)))
        by_key = {}
        for _, number in records:
            assert by_key.get(number % 16, -1) < number, "out of order"
            by_key[number % 16] = number
    again = reader(logmill.bootstrap, "g")
    kept = {p.partition: p.offset for p in again.committed([TopicPartition(TOPIC, p) for p in committed], timeout=20)}
    again.close()
    assert all(kept[p] >= committed[p] for p in committed), (kept, committed)
    assert set(seen) >= {(p, o) for p in committed for o in range(committed[p])}, "committed and never read"
    assert admin.list_topics(timeout=20).cluster_id == cluster
    check.close()
    assert logmill.stop("bus") == 0
    print(f"{writer.written} written, {sum(committed.values())} committed, {len(seen)} read")
